import ArgumentParser
import Glibc
import JSON
import Operating
import Scenarios
import Supervision
import Topologies

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Spawn a topology and keep it up until Ctrl-C, or in the background.",
        discussion: """
            Exit code 1 when a part ended for good, or when anything was left behind. With --detach it \
            returns when the mesh has begun to start, with --wait when all of it is ready; \
            'synmesh down' ends it.
            """)

    @Argument(help: "The topology (YAML).", completion: .file(extensions: ["yaml"]))
    var topology: String

    @Flag(help: "Start the servers and proxies, and print where they are: the agents are yours.")
    var withoutAgents = false

    @Flag(name: [.customShort("d"), .long], help: "Keep it up in the background.")
    var detach = false

    @Flag(help: "With --detach: return when all of it is ready.")
    var wait = false

    @Option(help: "With --wait: how many seconds to wait at most.")
    var timeout = 120.0

    @Option(help: "What the mesh is called, instead of its topology's name.")
    var name: String?

    @Option(help: .hidden)
    var reportTo: Int32?

    @OptionGroup var adjustments: AdjustmentArguments

    @OptionGroup var options: RunArguments

    func validate() throws {
        if wait, !detach { throw ValidationError("'--wait' goes with '--detach'.") }
        guard timeout > 0, timeout < 1e6 else {
            throw ValidationError("'--timeout' is a number of seconds.")
        }
    }

    /// Whether these arguments are those of an `up` that returns.
    static func isDetaching(_ arguments: some Sequence<String>) -> Bool {
        arguments.contains { word in
            word == "--detach"
                || word.hasPrefix("-") && !word.hasPrefix("--") && word.contains("d")
        }
    }

    private enum End: Sendable {
        case interrupted
        case broken(String)
        case down(Exchange)
    }

    func run() async throws {
        let topology = try loadTopology(topology, adjusting: adjustments.read())
        if detach { return try runDetached(topology) }
        guard let guardian = Synmesh.guardian else { throw ExitStatus.defect.code }
        var runOptions = options.runOptions
        runOptions.showsOutput = reportTo == nil || options.output
        let session: MeshSession
        let (ends, end) = AsyncStream.makeStream(of: End.self)
        do {
            let interruptions = try Interruptions()
            session = try MeshSession(
                topology, named: name, guardian: guardian, options: runOptions)
            let stopping = session
            await interruptions.watch {
                end.yield(.interrupted)
            } again: {
                await stopping.kill()
            }
            let record = try await session.serve { end.yield(.down($0)) }
            say(record.json)
            try await session.start(withAgents: !withoutAgents)
        } catch {
            printError("synmesh: \(error)")
            say(["failed": .string("\(error)"), "code": Value(ExitStatus(for: error).rawValue)])
            throw ExitStatus(for: error).code
        }
        let hint = reportTo == nil ? " (Ctrl-C ends it)" : ""
        printError("up: \(name ?? topology.name), logs in \(session.directory)\(hint)")
        say(["up": true])
        try await keepUp(session, ends, end)
    }

    private func keepUp(
        _ session: MeshSession, _ ends: AsyncStream<End>, _ end: AsyncStream<End>.Continuation
    ) async throws {
        Task {
            if let breakage = await session.waitForBreakage() { end.yield(.broken(breakage)) }
        }
        var breakage: String?
        var down: Exchange?
        for await reason in ends {
            switch reason {
            case .interrupted: break
            case .broken(let reason): breakage = reason
            case .down(let exchange): down = exchange
            }
            break
        }
        if let breakage { printError("synmesh: \(breakage)") }
        let certificate = await session.stop(answering: down)
        printError("down: \(certificate)")
        if breakage != nil || !certificate.isClean { throw ExitStatus.notAsExpected.code }
    }

    /// Says how it goes to who started it in the background.
    private func say(_ value: Value) {
        guard let reportTo else { return }
        DetachedProcess.say(value.canonical, on: reportTo)
    }
}

// MARK: - In the background

extension Up {
    private func runDetached(_ topology: Topology) throws {
        let name = name ?? topology.name
        if let other = MeshRecord.all().first(where: {
            $0.name == name && $0.isAlive && $0.canBeAsked
        }) {
            printError(
                "synmesh: a mesh '\(name)' is up already (process "
                    + "\(other.orchestrator.process)). End it with 'synmesh down --mesh \(name)', "
                    + "or call this one something else with --name")
            throw ExitStatus.notAsExpected.code
        }
        let folder = "\(options.logs)/\(name)"
        let log = "\(folder)/synmesh.log"
        let process: DetachedProcess
        do {
            try makeFolder(folder)
            process = try DetachedProcess(
                executable: Machine.program, arguments: arguments, logPath: log)
        } catch {
            printError("synmesh: \(error)")
            throw ExitStatus.environment.code
        }
        try hear(process, name: name, log: log)
    }

    private var arguments: [String] {
        var words = ["up", topology, "--report-to", "\(DetachedProcess.reportDescriptor)"]
        words += ["--logs", options.logs]
        if let name { words += ["--name", name] }
        for value in adjustments.overrides { words += ["--set", value] }
        for file in adjustments.envFile { words += ["--env-file", file] }
        if let seed = options.seed { words += ["--seed", "\(seed)"] }
        if withoutAgents { words.append("--without-agents") }
        if options.output { words.append("--output") }
        return words
    }

    private func hear(_ process: DetachedProcess, name: String, log: String) throws {
        let clock = ContinuousClock()
        let deadline = clock.now + .seconds(timeout)
        while true {
            switch process.next(timeout: max(deadline - clock.now, .zero)) {
            case .late:
                printError(
                    "synmesh: '\(name)' is not ready after \(timeout) s; it goes on. "
                        + "'synmesh ps' and 'synmesh explain' say what is missing, "
                        + "'synmesh down' ends it")
                throw ExitStatus.notAsExpected.code
            case .silence:
                let code = process.exitCode() ?? ExitStatus.defect.rawValue
                printError("synmesh: '\(name)' has ended (exit code \(code)). See \(log)")
                throw ExitCode(code == 0 ? ExitStatus.notAsExpected.rawValue : code)
            case .line(let line):
                guard let word = try? Value(parsing: line) else { continue }
                if let failure = word["failed"]?.string {
                    printError("synmesh: \(failure)")
                    // Its end is waited for: nothing is left when this returns.
                    _ = process.next(timeout: .seconds(20))
                    throw ExitCode(word["code"]?.integer.flatMap(Int32.init(exactly:)) ?? 1)
                }
                if word["up"]?.bool == true {
                    printError("up: \(name), log in \(log) ('synmesh down' ends it)")
                    return
                }
                if !wait {
                    printError("starting: \(name), log in \(log) ('synmesh ps' shows it)")
                    return
                }
            }
        }
    }
}

/// Makes a folder and those above it.
private func makeFolder(_ path: String) throws {
    var made = path.hasPrefix("/") ? "/" : ""
    for part in path.split(separator: "/") {
        made += (made.isEmpty || made.hasSuffix("/") ? "" : "/") + part
        if mkdir(made, 0o755) != 0, errno != EEXIST {
            throw OperatingError(.failed, "\(made): \(String(cString: strerror(errno)))")
        }
    }
}
