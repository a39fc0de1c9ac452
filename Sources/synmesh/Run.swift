import Analysis
import ArgumentParser
import Glibc
import JSON
import Operating
import Recording
import Reporting
import Scenarios
import Supervision
import Synchronization
import Threads

struct Run: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Play a scenario and end with a verdict.",
        discussion: """
            Spawns the scenario's topology on this machine, plays the steps, judges each, rolls \
            back by itself when a limit is broken, and leaves a run directory with the histories \
            of all envelopes, verdict.json and junit.xml.
            """)

    @Argument(help: "The scenario (YAML).", completion: .file(extensions: ["yaml"]))
    var scenario: String

    @Flag(help: "Print verdict.json alone to standard output.")
    var json = false

    @Flag(
        help: """
            Say what was where when the scenario's last run was interrupted, start the mesh so, and \
            bring every moved agent back.
            """)
    var rollback = false

    @OptionGroup var adjustments: AdjustmentArguments

    @OptionGroup var options: RunArguments

    func run() async throws {
        let loaded = try loadScenario(scenario, adjusting: adjustments.read())
        let interrupted = rollback ? try interruptedRun(of: loaded) : nil
        let (verdict, _) = try await play(
            loaded, options: options.runOptions, resuming: interrupted
        ) {
            verdict, directory in
            if json {
                print(verdict.json.canonical)
            } else {
                let report = TerminalReport(verdict, directory: directory)
                print(report.text(colour: isColourful(descriptor: 1)))
            }
        }
        throw ExitCode(verdict.exitCode)
    }

    /// The scenario's last run, which must have been interrupted.
    private func interruptedRun(of loaded: Scenario.Loaded) throws -> InterruptedRun {
        let path = "\(options.logs)/\(loaded.scenario.name)/latest"
        do {
            let run = try InterruptedRun(RunDirectory(path), of: loaded.topology)
            for line in run.lines { printError(line) }
            return run
        } catch {
            printError("synmesh: \(error)")
            throw ExitStatus.badInput.code
        }
    }
}

/// Plays a scenario to its end; Ctrl-C ends it in order, and then this with exit code 130.
///
/// - Parameters:
///   - loaded: The scenario.
///   - options: Where logs go, and the like.
///   - interrupted: The run that is to be taken back; nil plays the scenario.
///   - show: Gets the verdict and the run's directory, also of a run that was interrupted.
/// - Returns: The verdict and the run's directory.
/// - Throws: `ExitCode`, after the reason was printed.
@discardableResult
func play(
    _ loaded: Scenario.Loaded, options: RunOptions, resuming interrupted: InterruptedRun? = nil,
    showing show: (Verdict, String) -> Void = { _, _ in }
) async throws -> (verdict: Verdict, directory: String) {
    guard let guardian = Synmesh.guardian else { throw ExitStatus.defect.code }
    let rehearsal: Rehearsal
    let verdict: Verdict
    var interruptions: Interruptions?
    do {
        let watched = try Interruptions()
        interruptions = watched
        rehearsal = try Rehearsal(
            loaded, guardian: guardian, options: options, resuming: interrupted)
        let play = Task { try await rehearsal.play() }
        await watched.watch {
            play.cancel()
        } again: {
            await rehearsal.kill()
        }
        verdict = try await play.value
    } catch {
        if await interruptions?.count ?? 0 > 0 { throw ExitStatus.interrupted.code }
        printError("synmesh: \(error)")
        throw ExitStatus(for: error).code
    }
    show(verdict, rehearsal.directory.path)
    if await interruptions?.count ?? 0 > 0 { throw ExitStatus.interrupted.code }
    return (verdict, rehearsal.directory.path)
}

struct RunArguments: ParsableArguments {
    @Option(help: "The folder that run directories are written to.", completion: .directory)
    var logs = "logs"

    @Option(help: "The seed, instead of the scenario's.")
    var seed: UInt64?

    @Flag(name: [.short, .long], help: "Show the output of all processes.")
    var output = false

    var runOptions: RunOptions {
        var options = RunOptions(logs: logs, seed: seed, showsOutput: output) { printError($0) }
        if isatty(STDIN_FILENO) == 1 { options.ask = Person.ask }
        return options
    }
}

/// The person at the terminal.
enum Person {
    private static let look: Int32 = 200

    /// Asks whether to go on.
    ///
    /// - Parameters:
    ///   - question: The words.
    ///   - timeout: How long an answer is waited for.
    /// - Returns: Whether the answer begins with a y; nil where none came, or the run was interrupted.
    @Sendable static func ask(_ question: String, _ timeout: Duration) async -> Bool? {
        printError("\(question) [y/N]")
        let isOver = Atomic<Bool>(false)
        return await withTaskCancellationHandler {
            try? await onDedicatedThread(named: "person") {
                let end = ContinuousClock.now + timeout
                while ContinuousClock.now < end, !isOver.load(ordering: .relaxed) {
                    var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
                    guard poll(&input, 1, look) > 0 else { continue }
                    // An end of input is no answer.
                    guard let line = readLine() else { return nil }
                    return line.lowercased().hasPrefix("y")
                }
                return nil
            }
        } onCancel: {
            isOver.store(true, ordering: .relaxed)
        }
    }
}

/// Ctrl-C and SIGTERM: the first ends in order, the second at once.
actor Interruptions {
    private let signals: TerminationSignals
    private(set) var count = 0

    init() throws { signals = try TerminationSignals() }

    func watch(
        first: @escaping @Sendable () async -> Void, again: @escaping @Sendable () async -> Void
    ) {
        Task {
            for await _ in self.signals.arrivals {
                self.count += 1
                if self.count == 1 {
                    printError("interrupted: stopping (once more to kill)")
                    await first()
                } else {
                    await again()
                }
            }
        }
    }
}

extension ExitStatus {
    init(for error: any Error) {
        switch error {
        case is EnvironmentError, is SupervisionError, is ThreadError, is OperatingError:
            self = .environment
        case is CancellationError: self = .interrupted
        default: self = .defect
        }
    }
}

/// Colour only on a terminal, and never where `NO_COLOR` asks for none.
func isColourful(descriptor: Int32) -> Bool {
    isatty(descriptor) == 1 && getenv("NO_COLOR") == nil
        && getenv("TERM").map { String(cString: $0) } != "dumb"
}
