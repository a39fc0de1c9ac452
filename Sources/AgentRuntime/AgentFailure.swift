/// Why an agent's program cannot start or go on: what a person reads, and the exit code.
public struct AgentFailure: Error, Hashable, Sendable, CustomStringConvertible {
    /// The exit codes of agent programs, as `agents/README.md` documents them.
    public enum Code: Int32, Hashable, Sendable, CaseIterable {
        /// The settings, or a file that they name, cannot be used.
        case settings = 2
        /// The environment that the orchestrator gives is missing or malformed.
        case environment = 3
        /// The branch, the NATS server or the topic proxies did not answer.
        case unreachable = 69
        /// Something failed that nothing was planned for: the history, a socket.
        case failed = 70
    }

    /// What the process ends with.
    public let code: Code
    /// The attempt, the reason and the remedy, one thing a line.
    public let message: String

    /// Makes a failure.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
