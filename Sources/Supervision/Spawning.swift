internal import CLinux
internal import Glibc

/// A child that runs or has not been reaped: its number, and a descriptor that tells of its end.
struct Child {
    let process: Int32
    let incarnation: UInt32
    let startedAt: UInt64
    /// Readable once the process has ended.
    let pidfd: CInt
    /// Its output, as the pump knows it.
    let output: UInt64
}

/// The start of one process.
struct Spawning {
    let name: String
    let incarnation: UInt32
    let token: String
    let specification: ProcessSpecification

    /// What the supervisor adds to every environment, and finds escaped descendants by.
    static func marks(token: String, name: String, incarnation: UInt32) -> [String: String] {
        ["SYNMESH_TOKEN": token, "SYNMESH_PROCESS": "\(name)/\(incarnation)"]
    }

    /// A child, and the reading end of what it says that it is ready on, where it does.
    struct Started {
        let child: Child
        let readyPipe: CInt?
    }

    /// Starts the process and has its output read; `heard` is called when a line was written that a
    /// probe waits for, with the probe's index.
    func start(
        pump: OutputPump, output: UInt64, console: Console?,
        heard: @escaping @Sendable (Int) -> Void
    ) throws(SupervisionError) -> Started {
        let path = try resolvedExecutable()
        let log = try openLog()
        var ends: [CInt] = [-1, -1]
        guard synmesh_pipe(&ends) == 0 else {
            let error = SupervisionError.system("could not make a pipe for \(name)")
            close(log)
            throw error
        }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        synmesh_enlarge_pipe(ends[0])
        let started: Started
        do throws(SupervisionError) {
            defer { close(ends[1]) }
            started = try startChild(path, output: ends[1], identifier: output)
        } catch {
            close(ends[0])
            close(log)
            throw error
        }
        let shown = specification.showsOnConsole ? console : nil
        pump.add(
            output,
            OutputPump.Source(
                name: name, pipe: ends[0], log: log, logPath: specification.logPath,
                notesTimes: specification.notesTimes, logLimit: specification.logLimit,
                console: shown,
                patterns: patterns, heard: heard))
        return started
    }

    /// Starts a program that asks the process something, with its surroundings.
    func startProbe(output: CInt) throws(SupervisionError) -> Child {
        let path = try resolvedExecutable()
        return try OwnChildren.start { () throws(SupervisionError) in
            try spawn(path, output: output, identifier: 0)
        }
    }

    /// The lines that probes wait for, with the probes' places.
    private var patterns: [LinePattern] {
        specification.probes.enumerated().compactMap { index, rule in
            guard case .line(let pattern) = rule.test else { return nil }
            return LinePattern(pattern, index: index)
        }
    }

    private func startChild(
        _ path: String, output: CInt, identifier: UInt64
    ) throws(SupervisionError) -> Started {
        let numbers = specification.probes.compactMap { rule -> CInt? in
            if case .descriptor(let number) = rule.test { number } else { nil }
        }
        guard let number = numbers.first else {
            let child = try OwnChildren.start { () throws(SupervisionError) in
                try spawn(path, output: output, identifier: identifier)
            }
            return Started(child: child, readyPipe: nil)
        }
        var ends: [CInt] = [-1, -1]
        guard synmesh_pipe(&ends) == 0 else {
            throw .system("could not make a pipe for \(name)")
        }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        defer { close(ends[1]) }
        do throws(SupervisionError) {
            let child = try OwnChildren.start { () throws(SupervisionError) in
                try spawn(path, output: output, identifier: identifier, ready: (ends[1], number))
            }
            return Started(child: child, readyPipe: ends[0])
        } catch {
            close(ends[0])
            throw error
        }
    }

    private var attempt: String { "could not start \(name)" }

    private func resolvedExecutable() throws(SupervisionError) -> String {
        if let directory = specification.workingDirectory {
            var status = stat()
            guard stat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
                throw SupervisionError(
                    .workingDirectory, attempt: attempt,
                    reason: "its working directory \(directory) is not a directory",
                    remedy: "Create it or correct the path.")
            }
        }
        let searchPath =
            specification.environment["PATH"]
            ?? getenv("PATH").map { String(cString: $0) }
        do throws(SupervisionError) {
            return try ExecutableLookup.resolve(
                specification.executable, searchPath: searchPath,
                directory: specification.workingDirectory)
        } catch {
            throw SupervisionError(
                error.code, attempt: attempt, reason: error.reason, remedy: error.remedy)
        }
    }

    private func openLog() throws(SupervisionError) -> CInt {
        let log = open(
            specification.logPath, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o644)
        guard log >= 0 else {
            throw .system("could not open the log \(specification.logPath) of \(name)")
        }
        // The last incarnation may have died in the middle of a line.
        let size = lseek(log, 0, SEEK_END)
        var last: UInt8 = 0
        if size > 0, pread(log, &last, 1, size - 1) == 1, last != UInt8(ascii: "\n") {
            writeAll("\n", to: log)
        }
        return log
    }

    private func spawn(
        _ path: String, output: CInt, identifier: UInt64, ready: (end: CInt, number: CInt)? = nil
    ) throws(SupervisionError) -> Child {
        let marks = Self.marks(token: token, name: name, incarnation: incarnation)
        let environment = specification.environment.merging(marks) { _, ours in ours }
            .map { "\($0.key)=\($0.value)" }.sorted()
        var process: pid_t = 0
        let error = withCStrings([path] + specification.arguments) { arguments in
            withCStrings(environment) { environment in
                withOptionalCString(specification.workingDirectory) { directory in
                    var request = synmesh_spawn_request()
                    request.executable = UnsafePointer(arguments[0])
                    request.arguments = arguments
                    request.environment = environment
                    request.directory = directory
                    request.output = output
                    request.kept = -1
                    request.own_group = true
                    if let ready {
                        request.ready = ready.end
                        request.ready_number = ready.number
                    }
                    return synmesh_spawn(&request, &process)
                }
            }
        }
        guard error == 0 else { throw failure(error, path) }
        limit(process)
        // Not reaped yet, so the number cannot mean anybody else.
        let pidfd = synmesh_pidfd_open(process)
        guard pidfd >= 0 else {
            let failure = SupervisionError.system("could not watch \(name)")
            kill(-process, SIGKILL)
            var result = synmesh_exit()
            while synmesh_reap(process, &result) == 0 { sleepFor(milliseconds: 1) }
            throw failure
        }
        return Child(
            process: process, incarnation: incarnation, startedAt: monotonicNow(), pidfd: pidfd,
            output: identifier)
    }

    /// Says what the child may use; it has just begun, and where it has ended already, no harm is done.
    private func limit(_ process: pid_t) {
        synmesh_restore_descriptors(process)
        let limits = specification.limits
        guard limits != ResourceLimits() else { return }
        func bound(_ number: Int?) -> Int64 { number.map(Int64.init) ?? -1 }
        var request = synmesh_limits(
            address_space: bound(limits.addressSpace), files: bound(limits.files),
            file_size: bound(limits.fileSize),
            processor_seconds: bound(limits.processorSeconds), nice: CInt(limits.nice))
        synmesh_limit(process, &request)
    }

    private func failure(_ number: CInt, _ path: String) -> SupervisionError {
        switch number {
        case ENOEXEC:
            SupervisionError(
                .notExecutable, attempt: attempt,
                reason: "\(path) is neither a program of this machine nor a script",
                remedy: "A script starts with a line such as #!/bin/sh.")
        case ENOENT:
            SupervisionError(
                .notExecutable, attempt: attempt,
                reason: "the interpreter or loader that \(path) asks for does not exist",
                remedy: "Correct its #! line, or install what it names.")
        default: .system(attempt, number)
        }
    }
}

private func withOptionalCString<Result>(
    _ text: String?, _ body: (UnsafePointer<CChar>?) -> Result
) -> Result {
    guard let text else { return body(nil) }
    return text.withCString(body)
}
