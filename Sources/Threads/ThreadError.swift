internal import Glibc

/// The system has no room for a thread, or for what wakes one.
public struct ThreadError: Error, Hashable, Sendable {
    /// What was attempted, such as "could not start the thread lifeline".
    public let attempt: String
    /// The system's reason, an `errno` value.
    public let code: Int32

    init(_ attempt: String, _ code: Int32) {
        self.attempt = attempt
        self.code = code
    }

    /// The system's reason, for people.
    public var reason: String { String(cString: strerror(code)) }
}

extension ThreadError: CustomStringConvertible {
    /// The attempt, the reason and a remedy, on one line.
    public var description: String {
        "\(attempt): \(reason). The limits on processes (ulimit -u) and open files (ulimit -n) say "
            + "how much room there is."
    }
}
