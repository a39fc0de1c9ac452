internal import CLinux
internal import Glibc
internal import Synchronization

/// The guardian of this process: a small parent that outlives it and leaves nothing behind.
///
/// `enter()` is the first thing an orchestrator does. The first time through, it replaces the
/// process by `synmesh-guard`, which starts the orchestrator again as its child; the second time
/// through, the process finds the lifeline and goes on. From then on each watches the other: when
/// the orchestrator ends in any way, the guardian kills every descendant and cleans the manifest;
/// when the guardian is killed, the orchestrator does the same and ends.
public struct Guardian: Sendable {
    /// What must not outlive the run.
    public let manifest: Manifest
    /// The guardian's process number.
    public let process: Int32

    /// Whether this process has a guardian, and is therefore the sub-reaper of all its descendants.
    public static var isActive: Bool { active.load(ordering: .acquiring) }

    private static let active = Atomic(false)

    /// The exit code of an orchestrator whose guardian was killed.
    package static let exitCode: CInt = 137

    /// The environment through which the guardian speaks to the orchestrator.
    package enum Variable {
        /// The number of the descriptor that is at its end when the guardian is dead.
        package static let lifeline = "SYNMESH_LIFELINE"
        /// The guardian's process number.
        package static let guardian = "SYNMESH_GUARD_PID"
        /// Where the manifest is to be created.
        package static let manifest = "SYNMESH_MANIFEST"
    }

    /// Puts this process under a guardian.
    ///
    /// Call it first in `main`, before there is any other thread: it may replace the whole process,
    /// and it changes the environment and the signals that threads inherit.
    ///
    /// - Throws: `SupervisionError` when `synmesh-guard` is not next to this executable, or cannot
    ///   be run.
    /// - Returns: The guardian, in the process that it guards.
    public static func enter() throws(SupervisionError) -> Guardian {
        signal(SIGCHLD, SIG_DFL)
        // A reader of our output that goes away must not end the run without teardown.
        signal(SIGPIPE, SIG_IGN)
        guard let found = inherited() else { try replaceProcess() }
        guard synmesh_become_subreaper() == 0 else {
            throw .system("could not become a sub-reaper")
        }
        _ = fcntl(found.lifeline, F_SETFD, FD_CLOEXEC)
        let manifest = try Manifest(creating: found.manifest)
        let guardian = Guardian(manifest: manifest, process: found.guardian)
        try startThread(named: "lifeline") {
            waitForEnd(of: found.lifeline)
            guardian.wasKilled()
        }
        active.store(true, ordering: .releasing)
        return guardian
    }

    private struct Inherited {
        let lifeline: CInt
        let guardian: Int32
        let manifest: String
    }

    /// What the guardian left in the environment, which our own children must not see.
    private static func inherited() -> Inherited? {
        let values = [Variable.lifeline, Variable.guardian, Variable.manifest].map { name in
            defer { unsetenv(name) }
            return getenv(name).map { String(cString: $0) }
        }
        guard let lifeline = values[0].flatMap({ CInt($0) }),
            let guardian = values[1].flatMap({ Int32($0) }), let manifest = values[2]
        else { return nil }
        var status = stat()
        guard fstat(lifeline, &status) == 0, status.st_mode & S_IFMT == S_IFIFO else { return nil }
        if getppid() != guardian {
            // Dead already, which the end of the lifeline tells; or the variables came down from
            // some other guardian's run and mean nothing here.
            var item = pollfd(fd: lifeline, events: Int16(POLLIN), revents: 0)
            guard poll(&item, 1, 0) == 1, item.revents & Int16(POLLHUP) != 0 else { return nil }
            exit(exitCode)
        }
        return Inherited(lifeline: lifeline, guardian: guardian, manifest: manifest)
    }

    private static func replaceProcess() throws(SupervisionError) -> Never {
        let own = try ownExecutable()
        let directory = own.utf8.lastIndex(of: UInt8(ascii: "/")).map { own[..<$0] } ?? ""
        let guardianPath = "\(directory)/synmesh-guard"
        let attempt = "could not start the guardian \(guardianPath)"
        guard access(guardianPath, X_OK) == 0 else {
            throw .system(
                attempt, remedy: "It belongs next to \(own): build or install both together.")
        }
        let prefix = [guardianPath, "--manifest", newManifestPath(), "--", own]
        withCStrings(prefix) { head in
            var arguments = (0..<prefix.count).map { head[$0] }
            // The arguments as they came: they need not be text.
            for index in 1..<max(1, Int(CommandLine.argc)) {
                arguments.append(CommandLine.unsafeArgv[index])
            }
            arguments.append(nil)
            execv(guardianPath, &arguments)
        }
        throw .system(attempt)
    }

    private static func ownExecutable() throws(SupervisionError) -> String {
        var bytes = [CChar](repeating: 0, count: Int(PATH_MAX) + 1)
        let count = readlink("/proc/self/exe", &bytes, bytes.count - 1)
        guard count > 0 else { throw .system("could not find the own executable") }
        return String(decoding: bytes.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func newManifestPath() -> String {
        let directory = getenv("XDG_RUNTIME_DIR").map { String(cString: $0) } ?? ""
        let usable = directory.utf8.first == UInt8(ascii: "/") && access(directory, W_OK) == 0
        // The number names the guardian: a process keeps it when it is replaced.
        let suffix = String(UInt64.random(in: 0...UInt64.max), radix: 16)
        return "\(usable ? directory : "/tmp")/synmesh-\(getpid())-\(suffix).manifest"
    }

    private static func waitForEnd(of lifeline: CInt) {
        var byte: UInt8 = 0
        while true {
            let count = read(lifeline, &byte, 1)
            if count == 0 || (count == -1 && errno != EINTR) { return }
        }
    }

    /// The orchestrator's turn: what the guardian would have done.
    private func wasKilled() -> Never {
        // First, so that no restart can slip between the last look and the end.
        OwnChildren.refuseMore()
        let extermination = Extermination.killDescendants()
        let cleaning = Manifest.clean(at: manifest.path)
        writeAll(
            "synmesh: the guardian (process \(process)) was killed; ended "
                + "\(extermination.killed.count) processes and removed \(cleaning.removed.count) "
                + "files\n", to: 2)
        _exit(Self.exitCode)
    }
}
