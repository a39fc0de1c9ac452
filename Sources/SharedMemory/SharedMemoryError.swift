internal import Glibc

/// What could not be done with a pool, why, and what to do about it.
public struct SharedMemoryError: Error, Hashable, Sendable {
    /// Why it failed, for code that decides by it.
    public enum Reason: Hashable, Sendable {
        /// Every slot is in use, and the caller waited for one as long as it may.
        case full
        /// The content that was described is gone: its slot was loaned again, or is about to be.
        case stale
        /// What lies in the pool is not what was published.
        case corrupted
        /// There is no such file, or it has lost its name since it was opened.
        case notFound
        /// A file of that name exists already.
        case exists
        /// The file system, or a limit of this process, has no room for the pool.
        case noSpace
        /// The file is no pool, none of this version, or not finished yet.
        case notAPool
        /// More bytes than a slot, or a pool, can have.
        case tooLarge
        /// Somebody stopped in the middle of a change that takes microseconds.
        case busy
        /// The system refused, for the reason with this `errno` value.
        case system(CInt)
    }

    /// What was attempted, such as "could not read slot 3 of pool clouds".
    public let attempt: String
    /// Why it failed, for code.
    public let reason: Reason
    /// Why it failed, for people.
    public let detail: String
    /// What the reader can do, where there is something to do.
    public let remedy: String?

    /// An error from its parts.
    public init(
        attempt: String, reason: Reason, detail: String, remedy: String? = nil
    ) {
        self.attempt = attempt
        self.reason = reason
        self.detail = detail
        self.remedy = remedy
    }

    /// The error of a system call that just failed; `errno` unless another number is given.
    static func system(_ attempt: String, _ number: CInt = errno) -> SharedMemoryError {
        SharedMemoryError(
            attempt: attempt, reason: .system(number), detail: String(cString: strerror(number)))
    }
}

extension SharedMemoryError: CustomStringConvertible {
    /// The attempt, the reason, and a remedy where there is one, on one line.
    public var description: String {
        guard let remedy else { return "\(attempt): \(detail)" }
        return "\(attempt): \(detail). \(remedy)"
    }
}
