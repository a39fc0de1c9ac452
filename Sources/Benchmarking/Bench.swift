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
        /// How often each measurement is made; nil is 7 times, or up to 3 where it is quick.
        public var runs: Int?
        /// The folder for logs.
        public var logs = "logs"
        /// Told what happens, a line at a time.
        public var progress: @Sendable (String) -> Void = { _ in }

        /// The defaults.
        public init() {}

        /// Whether something of this name was asked for.
        func wants(_ name: String) -> Bool { only.isEmpty || only.contains { name.contains($0) } }
    }

    /// Why a measurement could not be made.
    public struct Failure: Error, CustomStringConvertible, Sendable {
        /// What was attempted, and why it failed.
        public let description: String

        init(_ description: String) { self.description = description }
    }

    /// What was measured, and what could not be.
    public struct Outcome: Sendable {
        /// In the order of the table.
        public var rows: [Row] = []
        /// One line for each suite that failed.
        public var failures: [String] = []
    }

    let options: Options
    let guardian: Guardian

    /// Prepares.
    public init(guardian: Guardian, options: Options) {
        self.guardian = guardian
        self.options = options
    }

    /// What there is to measure, in the order in which it is.
    static let suites: [any Suite] = [
        SeedSuite(), BranchProxySuite(), TopicProxySuite(), AgentsSuite(), BatchingSuite(),
        DeliverySuite(), ZeroCopySuite(), ReconnectSuite(), PoolSuite(), IdleAgentSuite(),
        NATSSuite(),
        CloudSuite(), SharedMemorySuite(), RecordingSuite(), HistoriesSuite(),
        SeedPythonSuite(), MemoryFlatSuite(),
    ]

    /// How long all suites together may take where it is to be quick: what starts late is shorter, but
    /// not shorter than one round, so that it may become more.
    static let quickTotal: Duration = .seconds(42)

    /// Whether this program was built without optimisation: its figures say nothing.
    public static var isDebugBuild: Bool {
        #if DEBUG
            true
        #else
            false
        #endif
    }

    /// What there is to measure: each suite with its metrics and what they mean.
    public static var catalogue: [(suite: String, metrics: [Metric])] {
        suites.map { suite in
            let derived = suite is SeedSuite ? SeedTargets.all.map(\.metric) : []
            return (suite.name, suite.metrics + derived)
        }
    }

    /// Measures everything that was asked for.
    ///
    /// A suite that fails does not take the others along.
    ///
    /// - Returns: What was measured.
    /// - Throws: `Failure` where nothing is called what was asked for; `CancellationError`.
    public func run() async throws -> Outcome {
        // What the seed's table takes from other suites must be measured there.
        let sources = Set(
            SeedTargets.all.filter { wantsDerived($0.metric.name) }.map(\.source))
        let wanted = Self.suites.filter { suite in
            options.wants(suite.name)
                || suite.metrics.contains { options.wants($0.name) || sources.contains($0.name) }
        }
        guard !wanted.isEmpty else {
            let names = Self.suites.map(\.name).joined(separator: ", ")
            throw Failure(
                "nothing is called \(options.only.joined(separator: ", ")); the suites are: "
                    + "\(names); 'synmesh bench --list' has the metrics")
        }
        var outcome = Outcome()
        var unwanted: Set<String> = []
        let clock = ContinuousClock()
        let end = clock.now + Self.quickTotal
        for (index, suite) in wanted.enumerated() {
            options.progress("bench: \(suite.name) (\(index + 1) of \(wanted.count))")
            // What one suite leaves of its share, the later ones have.
            let share = (end - clock.now) / (wanted.count - index)
            let bed = Bed(
                options: options, guardian: guardian, wantsAll: options.wants(suite.name),
                sources: sources, deadline: options.isQuick ? clock.now + share : nil)
            do {
                let began = clock.now
                let rows = try await suite.measure(bed).filter { bed.wants($0.metric) }
                let seconds = Int(((clock.now - began) / .seconds(1)).rounded())
                options.progress("bench: \(suite.name) took \(seconds) s")
                outcome.rows += rows
                if !bed.wantsAll {
                    unwanted.formUnion(rows.map(\.metric).filter { !options.wants($0) })
                }
            } catch {
                try Task.checkCancellation()
                outcome.failures.append("\(suite.name): \(error)")
                options.progress("bench: \(suite.name) failed: \(error)")
            }
        }
        outcome.rows = SeedTargets.added(to: outcome.rows, wants: wantsDerived)
            .filter { !unwanted.contains($0.metric) }
        return outcome
    }

    /// Rows that the seed's table takes from others belong to its suite.
    private func wantsDerived(_ metric: String) -> Bool {
        options.wants(metric) || options.wants(SeedSuite().name)
    }
}

/// Measurements that share what they run on.
protocol Suite: Sendable {
    /// What `--only` names it by.
    var name: String { get }

    /// What it measures, in the order of its rows.
    var metrics: [Metric] { get }

    /// Measures; what the bed does not want may be left out.
    func measure(_ bed: Bed) async throws -> [Row]
}

extension Suite {
    /// A suite that does not say is found by its own name only.
    var metrics: [Metric] { [] }
}

/// What a row is about.
public struct Metric: Sendable, Hashable {
    /// As the row has it.
    public let name: String
    /// What is measured, and what the reference does.
    public let meaning: String

    init(_ name: String, _ meaning: String) {
        self.name = name
        self.meaning = meaning
    }
}
