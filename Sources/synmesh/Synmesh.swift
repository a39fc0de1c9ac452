import ArgumentParser
import Glibc
import Supervision

@main
struct Program {
    static func main() async {
        var guardian: Guardian?
        if let command = CommandLine.arguments.dropFirst().first,
            ["up", "run", "replay", "bench", "conformance"].contains(command), !asksForHelp,
            command != "up" || !Up.isDetaching(CommandLine.arguments.dropFirst(2))
        {
            do throws(SupervisionError) {
                guardian = try Guardian.enter()
            } catch {
                printError("\(error)")
                exit(ExitStatus.environment.rawValue)
            }
        }
        await Synmesh.$guardian.withValue(guardian) { await Synmesh.main() }
    }

    private static var asksForHelp: Bool {
        // What stands behind '--' is another program's.
        let own = CommandLine.arguments.prefix { $0 != "--" }
        return !Set(own).isDisjoint(with: ["-h", "--help", "--version"])
    }
}

struct Synmesh: AsyncParsableCommand {
    /// The parent that sees to it that nothing outlives this process.
    @TaskLocal static var guardian: Guardian?

    static let configuration = CommandConfiguration(
        commandName: "synmesh",
        abstract: "Rehearse a mesh of agents, and its migration between ZeroMQ and NATS.",
        discussion: """
            Exit codes: 0 as expected, 1 not as expected, 2 bad input, 3 the machine lacks \
            something, 64 wrong usage, 70 a defect of synmesh, 130 interrupted.
            """,
        version: "0.1.0",
        subcommands: [
            Check.self, Up.self, Down.self, Ps.self, Logs.self, Restart.self, Stop.self,
            Start.self, Scale.self, Move.self, Explain.self, Events.self, Clean.self, Run.self,
            Replay.self,
            Diff.self,
            Report.self, HistoryCommand.self, Judge.self, Runs.self, Bench.self, Conform.self,
        ])
}

/// What the exit code says.
enum ExitStatus: Int32 {
    case asExpected = 0
    case notAsExpected = 1
    case badInput = 2
    case environment = 3
    case defect = 70
    case interrupted = 130

    var code: ExitCode { ExitCode(rawValue) }

    /// Ends the process at once; the guardian takes what it leaves.
    func end() -> Never { exit(rawValue) }
}

/// Writes a line for people to standard error: standard output is for results.
func printError(_ text: String) {
    let line = Array((text + "\n").utf8)
    var position = 0
    while position < line.count {
        let written = line[position...].withUnsafeBytes { write(2, $0.baseAddress, $0.count) }
        if written < 0, errno == EINTR { continue }
        guard written > 0 else { return }
        position += written
    }
}

/// Writes to standard output as it is, whatever bytes they are, and ends where nobody reads any more.
func writeOutput(_ bytes: [UInt8]) {
    var rest = bytes[...]
    while !rest.isEmpty {
        let count = rest.withUnsafeBytes { write(1, $0.baseAddress, $0.count) }
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { exit(ExitStatus.asExpected.rawValue) }
        rest = rest.dropFirst(count)
    }
}

/// Waits, where nothing tells when to look again.
func pause(milliseconds: Int32) { _ = poll(nil, 0, milliseconds) }
