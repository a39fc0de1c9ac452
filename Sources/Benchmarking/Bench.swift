internal import Foundation
internal import JSON
public import Supervision

/// Measures the mesh against plain programs that do the same job, in the same minutes.
///
/// Every run of ours stands beside one of the reference, in alternating order; a row is judged by
/// the median of their ratios.
public struct Bench: Sendable {
    /// What is measured, and how thoroughly.
    public struct Options: Sendable {
        /// Only suites and metrics whose name contains one of these; empty is all.
        public var only: [String] = []
        /// Fewer and smaller runs: an impression within a minute.
        public var isQuick = false
        /// The folder for logs.
        public var logs = "logs"
        /// Told what happens, a line at a time.
        public var progress: @Sendable (String) -> Void = { _ in }

        /// The defaults.
        public init() {}
    }

    /// Why a measurement could not be made.
    public struct Failure: Error, CustomStringConvertible, Sendable {
        /// What was attempted, and why it failed.
        public let description: String

        init(_ description: String) { self.description = description }
    }

    let options: Options
    let guardian: Guardian

    /// Prepares.
    public init(guardian: Guardian, options: Options) {
        self.guardian = guardian
        self.options = options
    }

    /// What there is to measure, in the order in which it is.
    static let suites: [any Suite] = [BranchProxySuite(), TopicProxySuite()]

    /// Measures everything that was asked for.
    ///
    /// - Returns: The rows, in the order of the table.
    /// - Throws: `Failure`, or what the mesh throws where it cannot be started.
    public func run() async throws -> [Row] {
        var rows: [Row] = []
        for suite in Self.suites where isWanted(suite) {
            options.progress("bench: \(suite.name)")
            rows += try await suite.measure(Bed(options: options, guardian: guardian))
        }
        guard !rows.isEmpty else {
            let names = Self.suites.map(\.name).joined(separator: ", ")
            throw Failure(
                "nothing is called \(options.only.joined(separator: ", ")); there are: \(names)")
        }
        return rows
    }

    private func isWanted(_ suite: any Suite) -> Bool {
        options.only.isEmpty || options.only.contains { suite.name.contains($0) }
    }
}

/// Measurements that share what they run on.
protocol Suite: Sendable {
    /// What `--only` names it by.
    var name: String { get }

    /// Measures.
    func measure(_ bed: Bed) async throws -> [Row]
}
