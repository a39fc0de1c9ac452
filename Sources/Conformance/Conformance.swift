internal import Recording
public import Scenarios
public import Supervision
public import Wire

/// Checks any program against the agents' contract, clause by clause, in a small real mesh.
public enum Conformance {
    /// What is checked, and how long anything may take.
    public struct Options: Sendable {
        /// The program and its arguments.
        public var command: [String]
        /// The transports that it is attached by, one after the other.
        public var transports: [Transport] = Transport.allCases
        /// The longest that the program may take for any one thing.
        public var timeout: Duration = .seconds(5)
        /// What `SYNMESH_KIND` says, for programs of several agents.
        public var kind: String?

        /// Options for a program.
        public init(command: [String]) { self.command = command }
    }

    /// Runs the program under every clause, and says which it breaks.
    ///
    /// - Parameters:
    ///   - options: The program.
    ///   - guardian: Sees to it that nothing outlives the check.
    ///   - run: Where the logs go, and who is told what happens.
    /// - Returns: What was found.
    /// - Throws: `EnvironmentError` when the machine lacks something, `ConformanceError` where the
    ///   check itself went wrong.
    public static func check(
        _ options: Options, guardian: Guardian, run: RunOptions
    ) async throws -> ConformanceReport {
        let context = try RunContext(
            name: "conformance", seed: run.seed ?? 1, guardian: guardian, options: run)
        var report = ConformanceReport(
            command: options.command, directory: context.directory.path)
        var ports: Set<UInt16> = []
        var segments: [String] = []
        var escaped: [String] = []
        var failure: (any Error)?
        for transport in options.transports {
            do {
                let bench = try await Bench(options, transport: transport, in: context)
                let examination = Examination(of: bench)
                await examination.run()
                await bench.stop()
                ports.formUnion(await bench.mesh.ports)
                escaped += bench.escaped
                segments += bench.mesh.segmentPaths
                report.entries += examination.entries
            } catch {
                failure = error
                break
            }
        }
        let stopped = await context.supervisor.stopAll(grace: .seconds(2))
        context.removeRuntimeFolder()
        if let failure { throw failure }
        let certificate = await context.supervisor.certificate(
            paths: [context.runtime] + segments, ports: ports.sorted())
        escaped += stopped.escaped.map { "\($0.name) (process \($0.process))" }
        if let last = options.transports.last {
            let outcome: ConformanceReport.Outcome =
                !escaped.isEmpty
                ? .broken("it left behind: \(escaped.joined(separator: ", "))")
                : certificate.isClean ? .kept : .broken("\(certificate)")
            report.entries.append(.init(clause: .nothingLeft, transport: last, outcome: outcome))
        }
        return report
    }
}
