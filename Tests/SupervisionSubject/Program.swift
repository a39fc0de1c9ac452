internal import Glibc
internal import Supervision

/// A small orchestrator for the tests to kill: `supervision-subject TOKEN DIRECTORY EXIT-CODE`.
///
/// Under a guardian it starts every kind of stubborn child, creates a file, a directory and a
/// shared-memory segment, and waits for a signal to stop it all.
@main
struct Program {
    static func main() async {
        do {
            let guardian = try Guardian.enter()
            let signals = try TerminationSignals()
            let arguments = CommandLine.arguments
            try await run(
                guardian, signals, token: arguments[1], directory: arguments[2],
                code: CInt(arguments[3]) ?? 1)
        } catch {
            fail("\(error)")
        }
    }

    private static func run(
        _ guardian: Guardian, _ signals: TerminationSignals, token: String, directory: String,
        code: CInt
    ) async throws {
        for path in ["\(directory)/tree", "\(directory)/file", "/dev/shm/synmesh-test-\(token)"] {
            try guardian.manifest.append(path)
        }
        mkdir("\(directory)/tree", 0o755)
        mkdir("\(directory)/tree/inner", 0o755)
        for path in [
            "\(directory)/file", "\(directory)/tree/inner/file", "/dev/shm/synmesh-test-\(token)",
        ] {
            close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o644))
        }
        let supervisor = try ProcessSupervisor(token: token)
        for (name, script) in Self.stubborn {
            try await supervisor.spawn(name) { _ in
                ProcessSpecification(
                    executable: "/bin/sh", arguments: ["-c", script],
                    environment: ["PATH": "/usr/bin:/bin"], logPath: "\(directory)/\(name).log",
                    restart: RestartPolicy(.always, backoff: .zero, maxRestarts: 1_000))
            }
        }
        // A second mesh side by side, which the end of the first is no business of.
        let neighbour = try ProcessSupervisor(token: token + "-neighbour")
        try await neighbour.spawn("neighbour") { _ in
            ProcessSpecification(
                executable: "/bin/sleep", arguments: ["1000"], logPath: "\(directory)/neighbour.log"
            )
        }
        say("ready \(getpid()) \(guardian.process)")
        for await signal in signals.arrivals {
            let report = await supervisor.stopAll(grace: .milliseconds(100))
            let phase = await neighbour.statuses().first?.phase
            say("neighbour \(phase == .running)")
            _ = await neighbour.stopAll(grace: .seconds(5))
            _ = guardian.manifest.clean()
            let certificate = await supervisor.certificate(
                paths: ["\(directory)/tree", "\(directory)/file"], ports: [])
            say("signal \(signal), complete \(report.isComplete), \(certificate)")
            exit(code)
        }
    }

    /// Children that resist, each of which leaves a `sleep` of its own running.
    private static let stubborn = [
        ("plain", "exec sleep 1000"),
        ("ignores", "trap '' TERM INT HUP; while :; do sleep 1000; done"),
        ("setsid", "setsid sh -c \"trap '' TERM; sleep 1000\" & sleep 1000"),
        ("double-fork", "(setsid sh -c 'sleep 1000 & sleep 1000 & exit 0' &) ; sleep 1000"),
        ("sheds-token", "env -i setsid sh -c 'sleep 1000' & exec sleep 1000"),
    ]

    private static func say(_ text: String) {
        print(text)
        fflush(nil)
    }

    private static func fail(_ text: String) -> Never {
        say("failed: \(text)")
        exit(99)
    }
}
