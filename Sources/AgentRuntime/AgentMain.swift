internal import Glibc
internal import JSON
internal import Messaging

/// The entry of every agent program.
///
/// ```swift
/// @main
/// struct Program {
///     static func main() {
///         AgentMain.run("synmesh-probe", kinds: ["probe": Probe.self])
///     }
/// }
/// ```
public enum AgentMain {
    /// Runs the agent that the environment asks for until it is stopped, and ends the process.
    ///
    /// - Parameters:
    ///   - program: The program's name, for its last words.
    ///   - kinds: The program's agents by the kind that names them.
    public static func run(_ program: String, kinds: [String: any Agent.Type]) -> Never {
        Output.makeLineBuffered()
        do throws(AgentFailure) {
            try start(kinds)
            exit(0)
        } catch {
            Output.error("\(program): \(error.message)")
            exit(error.code.rawValue)
        }
    }

    /// All that needs to be closed is closed when this returns.
    private static func start(_ kinds: [String: any Agent.Type]) throws(AgentFailure) {
        let termination = try Termination()
        let environment = try AgentEnvironment { name in
            getenv(name).map { String(cString: $0) }
        }
        guard let kind = kinds[environment.kind] else {
            let known = kinds.keys.sorted().joined(separator: ", ")
            throw AgentFailure(
                .environment,
                "SYNMESH_KIND is '\(environment.kind)'; this program has: \(known)")
        }
        let agent = try kind.init(
            AgentSetup(
                name: environment.name, kind: environment.kind, seed: environment.seed,
                settings: environment.settings))
        let runtime = try Runtime(environment, agent, termination)
        try runtime.run()
    }

    /// The bytes of a file, whole.
    ///
    /// - Parameters:
    ///   - path: The file.
    ///   - limit: More bytes than this are refused.
    /// - Returns: The bytes, or nil where there is no such file.
    /// - Throws: `AgentFailure` with code `settings` and the reason.
    public static func contents(
        of path: String, atMost limit: Int
    ) throws(AgentFailure) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return nil }
            throw AgentFailure(.settings, "could not open '\(path)': \(systemError())")
        }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            throw AgentFailure(.settings, "'\(path)' is not a file")
        }
        let size = Int(status.st_size)
        guard size <= limit else {
            throw AgentFailure(
                .settings, "'\(path)' has \(size) bytes, more than the \(limit) that are read")
        }
        var problem: String?
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let got = read(descriptor, buffer.baseAddress?.advanced(by: count), size - count)
                if got < 0 && errno == EINTR { continue }
                if got < 0 { problem = systemError() }
                // A file that shrank is shorter, and its reader will find out what is missing.
                if got <= 0 { return }
                count += got
            }
        }
        if let problem {
            throw AgentFailure(.settings, "could not read '\(path)': \(problem)")
        }
        return bytes
    }

    private static func systemError() -> String { String(cString: strerror(errno)) }
}
