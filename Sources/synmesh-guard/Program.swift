internal import CLinux
internal import Glibc
internal import Supervision

/// Runs a command and leaves nothing of it behind.
///
/// `synmesh-guard [--manifest PATH] -- COMMAND ARGUMENTS...`
///
/// The command's exit code is passed on. Whatever way the command ends, every descendant of
/// it is killed, those included that ignore signals, changed their session or lost their parent;
/// then the files that the manifest names are removed. One thread and no cleverness: this program
/// must not be what fails.
@main
struct Program {
    static func main() {
        guard let options = Options(CommandLine.arguments) else {
            writeAll("usage: synmesh-guard [--manifest PATH] -- COMMAND [ARGUMENT]...\n", to: 2)
            exit(2)
        }
        exit(Program(options: options).run())
    }

    let options: Options

    struct Options {
        var manifest: String?
        /// Where the command is among the arguments.
        var commandIndex = 0

        init?(_ arguments: [String]) {
            var index = 1
            if arguments.count > index + 1, arguments[index] == "--manifest" {
                manifest = arguments[index + 1]
                index += 2
            }
            guard arguments.count > index + 1, arguments[index] == "--" else { return nil }
            commandIndex = index + 1
        }
    }

    private func run() -> CInt {
        signal(SIGCHLD, SIG_DFL)
        signal(SIGPIPE, SIG_IGN)
        // Blocked before there is a child: nothing that happens to it can be missed.
        let numbers = [SIGCHLD] + Self.forwarded
        let signals = synmesh_signalfd(numbers, numbers.count)
        guard signals >= 0, synmesh_become_subreaper() == 0 else {
            return fail("could not prepare", errno)
        }
        var lifeline: [CInt] = [-1, -1]
        guard synmesh_pipe(&lifeline) == 0 else { return fail("could not prepare", errno) }
        setenv(Guardian.Variable.lifeline, "\(lifeline[0])", 1)
        setenv(Guardian.Variable.guardian, "\(getpid())", 1)
        if let manifest = options.manifest { setenv(Guardian.Variable.manifest, manifest, 1) }

        let command = CommandLine.unsafeArgv + options.commandIndex
        var request = synmesh_spawn_request()
        request.executable = UnsafePointer(command.pointee)
        request.arguments = UnsafePointer(command)
        request.output = -1
        request.kept = lifeline[0]
        var orchestrator: pid_t = 0
        let error = synmesh_spawn(&request, &orchestrator)
        guard error == 0 else {
            let name = CommandLine.arguments[options.commandIndex]
            return fail("could not start \(name)", error)
        }
        close(lifeline[0])
        let end = wait(for: orchestrator, signals: signals)
        leaveNothingBehind()
        return end.signalled ? 128 + end.status : end.status
    }

    private static let forwarded = [
        SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM,
    ]

    /// Reaps whatever ends and passes signals on, until the orchestrator has ended.
    private func wait(for orchestrator: pid_t, signals: CInt) -> synmesh_exit {
        while true {
            var result = synmesh_exit()
            while case let reaped = synmesh_reap(-1, &result), reaped > 0 {
                if reaped == orchestrator { return result }
            }
            var item = pollfd(fd: signals, events: Int16(POLLIN), revents: 0)
            poll(&item, 1, -1)
            var signal = synmesh_signal()
            while synmesh_signalfd_read(signals, &signal) == 1 {
                // What the terminal's keys send goes to its whole foreground group, so the
                // orchestrator has it already; a second one would read as impatience. A terminal
                // that goes away tells only the leader of its session, which this may be.
                let isKey = !signal.from_process && signal.number != SIGHUP
                guard signal.number != SIGCHLD, !isKey else { continue }
                kill(orchestrator, signal.number)
            }
        }
    }

    private func leaveNothingBehind() {
        let extermination = Extermination.killDescendants()
        let cleaning = options.manifest.map { Manifest.clean(at: $0) } ?? Manifest.Cleaning()
        var parts: [String] = []
        if !extermination.killed.isEmpty {
            let names = extermination.killed.map { "\($0.name) (\($0.process))" }
            parts.append("killed \(names.joined(separator: ", "))")
        }
        if !cleaning.removed.isEmpty {
            parts.append("removed \(cleaning.removed.joined(separator: ", "))")
        }
        if !extermination.remaining.isEmpty {
            let names = extermination.remaining.map { "\($0.name) (\($0.process))" }
            parts.append("could not kill \(names.joined(separator: ", "))")
        }
        if !cleaning.failed.isEmpty {
            parts.append("could not remove \(cleaning.failed.joined(separator: ", "))")
        }
        guard !parts.isEmpty else { return }
        writeAll(
            "synmesh-guard: the run left something behind: "
                + parts.joined(separator: "; ") + "\n", to: 2)
    }

    private func fail(_ attempt: String, _ number: CInt) -> CInt {
        writeAll("synmesh-guard: \(attempt): \(String(cString: strerror(number)))\n", to: 2)
        return number == ENOENT ? 127 : 126
    }
}
