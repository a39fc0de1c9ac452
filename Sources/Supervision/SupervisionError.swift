internal import Glibc
internal import Threads

/// What could not be done to a process, why, and what to do about it.
public struct SupervisionError: Error, Hashable, Sendable {
    /// Why it failed, for code that decides by it.
    public enum Code: Hashable, Sendable {
        /// No such program where it was looked for.
        case executableNotFound
        /// There is such a file, but it cannot be run.
        case notExecutable
        /// The working directory is missing or is no directory.
        case workingDirectory
        /// No process of that name was ever started.
        case unknownName
        /// A process of that name is alive or about to be restarted.
        case alreadyRunning
        /// The process of that name is not running.
        case notRunning
        /// The process lives on although it was killed: it is stuck in the kernel.
        case survived
        /// Everything is being stopped: nothing may start any more.
        case closing
        /// A path that may not be in a manifest.
        case refusedPath
        /// The system refused, for the reason with this `errno` value.
        case system(CInt)
    }

    /// Why it failed, for code.
    public let code: Code
    /// What was attempted, such as "could not start camera".
    public let attempt: String
    /// Why it failed, for people.
    public let reason: String
    /// What the reader can do, where there is something to do.
    public let remedy: String?

    /// An error from its parts.
    public init(_ code: Code, attempt: String, reason: String, remedy: String? = nil) {
        self.code = code
        self.attempt = attempt
        self.reason = reason
        self.remedy = remedy
    }

    /// The error of a system call that just failed; `errno` unless another number is given.
    static func system(
        _ attempt: String, _ number: CInt = errno, remedy: String? = nil
    ) -> SupervisionError {
        SupervisionError(
            .system(number), attempt: attempt, reason: String(cString: strerror(number)),
            remedy: remedy)
    }
}

extension SupervisionError: CustomStringConvertible {
    /// The attempt, the reason, and a remedy where there is one, on one line.
    public var description: String {
        guard let remedy else { return "\(attempt): \(reason)" }
        return "\(attempt): \(reason). \(remedy)"
    }
}

/// Turns the error of a thread, or of what wakes one, into this module's.
func threads<Result>(
    _ body: () throws(ThreadError) -> Result
) throws(SupervisionError) -> Result {
    do throws(ThreadError) {
        return try body()
    } catch {
        throw .system(error.attempt, error.code)
    }
}

/// Starts a thread that nobody joins.
func startThread(
    named name: String, _ body: @escaping @Sendable () -> Void
) throws(SupervisionError) {
    _ = try threads { () throws(ThreadError) in try DedicatedThread(named: name, body) }
}
