import ArgumentParser
import Conformance
import JSON
import Scenarios
import Supervision
import Wire

struct Conform: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "conformance",
        abstract: "Check any program against the contract of agents.",
        discussion: """
            Starts a small mesh with the program in it and looks at each clause of \
            agents/README.md: synmesh conformance -- python3 agent.py. Exit code 0 where every \
            clause that was looked at is kept, 1 where one is not.
            """)

    enum Transports: String, ExpressibleByArgument, CaseIterable {
        case zmq, nats, both
    }

    @Option(help: "How the program is attached: zmq, nats, or both in turn.")
    var transport = Transports.both

    @Option(help: "Seconds that the program may take for any one thing.")
    var timeout = 5.0

    @Option(help: "SYNMESH_KIND, for a program of several agents.")
    var kind: String?

    @Flag(help: "Print the result as JSON alone to standard output.")
    var json = false

    @OptionGroup var options: RunArguments

    @Argument(parsing: .postTerminator, help: "After --: the program and its arguments.")
    var command: [String] = []

    func validate() throws {
        if command.isEmpty {
            throw ValidationError("name the program behind '--': synmesh conformance -- ./agent")
        }
        if !(0.1...600).contains(timeout) {
            throw ValidationError("'--timeout' is a number of seconds from 0.1 through 600")
        }
    }

    func run() async throws {
        guard let guardian = Synmesh.guardian else { throw ExitStatus.defect.code }
        var options = Conformance.Options(command: command)
        options.timeout = .seconds(timeout)
        options.kind = kind
        switch transport {
        case .zmq: options.transports = [.zmq]
        case .nats: options.transports = [.nats]
        case .both: options.transports = [.zmq, .nats]
        }
        let report: ConformanceReport
        var interruptions: Interruptions?
        do {
            let watched = try Interruptions()
            interruptions = watched
            let (asked, run) = (options, self.options.runOptions)
            let check = Task {
                try await Conformance.check(asked, guardian: guardian, run: run)
            }
            await watched.watch {
                check.cancel()
            } again: {
                ExitStatus.interrupted.end()
            }
            report = try await check.value
        } catch {
            if await interruptions?.count ?? 0 > 0 { throw ExitStatus.interrupted.code }
            printError("synmesh: \(error)")
            throw ExitStatus(for: error).code
        }
        print(json ? report.json.canonical : report.text)
        if await interruptions?.count ?? 0 > 0 { throw ExitStatus.interrupted.code }
        throw (report.isConforming ? ExitStatus.asExpected : .notAsExpected).code
    }
}
