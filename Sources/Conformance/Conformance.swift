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
        /// The transports that it is attached by, each in a mesh of its own, all at once.
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
        for part in await parts(options, context) {
            do {
                let part = try part.get()
                ports.formUnion(part.ports)
                escaped += part.escaped
                segments += part.segments
                report.entries += part.entries
            } catch {
                failure = failure ?? error
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

    /// What was found on one transport, and what may be left of its mesh.
    private struct Part: Sendable {
        let entries: [ConformanceReport.Entry]
        let escaped: [String]
        let segments: [String]
        let ports: [UInt16]
    }

    /// Mostly a check waits: two at once take hardly longer than one.
    private static func parts(
        _ options: Options, _ context: RunContext
    ) async -> [Result<Part, any Error>] {
        await withTaskGroup(of: (Int, Result<Part, any Error>).self) { group in
            for (index, transport) in options.transports.enumerated() {
                group.addTask {
                    do {
                        return (index, .success(try await part(options, transport, context)))
                    } catch {
                        return (index, .failure(error))
                    }
                }
            }
            var found: [(Int, Result<Part, any Error>)] = []
            for await part in group { found.append(part) }
            return found.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private static func part(
        _ options: Options, _ transport: Transport, _ context: RunContext
    ) async throws -> Part {
        let bench = try await Bench(options, transport: transport, in: context)
        let examination = Examination(of: bench)
        await examination.run()
        await bench.stop()
        return Part(
            entries: examination.entries, escaped: bench.escaped,
            segments: bench.mesh.segmentPaths, ports: await Array(bench.mesh.ports))
    }
}
