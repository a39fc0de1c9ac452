public import JSON
public import Messaging
public import Wire

/// What an agent's program consists of, beside what every agent does.
///
/// The runtime reads the environment, attaches, subscribes, answers commands, paces loads, moves
/// the agent and ends it. An agent says what it does with an envelope, what one message of a load
/// is, and what it has found out. Everything is called from one thread.
public protocol Agent: AnyObject {
    /// Makes the agent from its settings.
    ///
    /// - Throws: `AgentFailure` with code `settings` where they cannot be used.
    init(_ setup: AgentSetup) throws(AgentFailure)

    /// Does what an envelope asks for.
    ///
    /// - Throws: What `outbox` throws; the runtime decides whether the agent can go on. Content that
    ///   cannot be read is no error: count it and say so in `result`.
    func handle(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError)

    /// Prepares a load; the runtime sends its messages when they are due.
    ///
    /// - Throws: `LoadError` where the agent has none, or the order's arguments are wrong.
    func load(_ order: LoadOrder) throws(LoadError) -> any Load

    /// Whether the agent still works on what its loads told it.
    ///
    /// A load is over once all of it is sent and the agent is not busy.
    var isBusy: Bool { get }

    /// When `wake` is to be called next, by the run's clock; nil is never.
    var due: UInt64? { get }

    /// Does what is due.
    ///
    /// Not while the agent is being drained, nor while nothing can be sent: then it is overdue.
    ///
    /// - Throws: As `handle` does.
    func wake(_ outbox: Outbox) throws(MessagingError)

    /// A subscription that the agent asked its outbox for holds: nothing published from now on is
    /// missed.
    ///
    /// - Throws: As `handle` does.
    func subscribed(to topic: String, _ outbox: Outbox) throws(MessagingError)

    /// What the agent has found out, the answer to the command `result`.
    func result() -> Value

    /// What the next incarnation needs, or null.
    func state() -> Value

    /// Takes over what `state` of the former incarnation said.
    func restore(_ state: Value)

    /// As `restore(_:)`, for agents that kept clouds: `outbox.keptPointCloud(restoring:)`.
    func restore(_ state: Value, _ outbox: Outbox)
}

extension Agent {
    /// Agents that only answer send no load.
    public func load(_ order: LoadOrder) throws(LoadError) -> any Load {
        throw LoadError("this kind of agent sends no load")
    }

    /// Never.
    public var isBusy: Bool { false }

    /// Never.
    public var due: UInt64? { nil }

    /// Nothing.
    public func wake(_ outbox: Outbox) throws(MessagingError) {}

    /// Nothing.
    public func subscribed(to topic: String, _ outbox: Outbox) throws(MessagingError) {}

    /// Nothing.
    public func state() -> Value { .null }

    /// Nothing.
    public func restore(_ state: Value) {}

    /// Restores what needs no outbox.
    public func restore(_ state: Value, _ outbox: Outbox) { restore(state) }
}

/// What an agent is made from.
public struct AgentSetup: Sendable {
    /// The agent's name.
    public let name: String
    /// Which of the program's agents it is.
    public let kind: String
    /// The run's seed, or the one of the settings.
    public let seed: UInt64
    /// The settings, an object.
    public let settings: Value

    /// Makes a setup; a `seed` of the settings stands before the run's.
    public init(name: String, kind: String, seed: UInt64, settings: Value) {
        self.name = name
        self.kind = kind
        self.seed = settings["seed"]?.integer.map { UInt64(bitPattern: $0) } ?? seed
        self.settings = settings
    }

    /// The texts of the setting `key`, which is a list of texts or one text; none where it is absent.
    public func texts(_ key: String) throws(AgentFailure) -> [String] {
        switch settings[key] {
        case nil, .null: return []
        case .string(let text): return [text]
        case .array(let elements):
            let texts = elements.compactMap(\.string)
            if texts.count == elements.count { return texts }
        default: break
        }
        throw AgentFailure(.settings, "the setting '\(key)' is not a list of names")
    }

    /// The setting `key`, a whole number within `range`; `fallback` where it is absent.
    public func integer(
        _ key: String, in range: ClosedRange<Int>, or fallback: Int
    ) throws(AgentFailure) -> Int {
        guard let value = settings[key], value != .null else { return fallback }
        guard let integer = value.integer.flatMap({ Int(exactly: $0) }), range.contains(integer)
        else {
            throw AgentFailure(
                .settings,
                "the setting '\(key)' is \(value.canonical), not a whole number from "
                    + "\(range.lowerBound) through \(range.upperBound)")
        }
        return integer
    }

    /// The destinations of the settings `to` (agents) and `topics`.
    public func destinations() throws(AgentFailure) -> [Address] {
        try texts("to").map(Address.agent) + (try texts("topics").map(Address.topic))
    }
}

/// What one message of a load is.
public protocol Load: AnyObject {
    /// Where the messages go.
    var destinations: [Address] { get }

    /// Whether the agent takes the next message now; what is due waits until it does.
    var isReady: Bool { get }

    /// When the next message is due, in nanoseconds from the beginning of the load, where the load knows
    /// better than the order's rate.
    var offset: UInt64? { get }

    /// Sends message number `index` to one of the destinations.
    ///
    /// The content follows from the seed, the agent's name and `index` alone: a load that goes on in
    /// another incarnation sends what this one would have sent.
    func send(
        _ index: Int, to destination: Address, _ outbox: Outbox
    ) throws(MessagingError)
}

/// A load of contents that are made once for all destinations, as `Outbox.sendPointCloud` does.
public protocol SharedLoad: Load {
    /// Sends message number `index` to all destinations.
    ///
    /// - Returns: To how many it was sent.
    func send(
        _ index: Int, to destinations: [Address], _ outbox: Outbox
    ) throws(MessagingError) -> Int
}

extension SharedLoad {
    /// Sends message number `index` to one of the destinations.
    public func send(
        _ index: Int, to destination: Address, _ outbox: Outbox
    ) throws(MessagingError) {
        _ = try send(index, to: [destination], outbox)
    }
}

extension Load {
    /// Always.
    public var isReady: Bool { true }
    /// As the order says.
    public var offset: UInt64? { nil }
}

/// Why a load cannot be sent.
public struct LoadError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The reason, for the command's answer.
    public let description: String

    /// Makes an error.
    public init(_ description: String) {
        self.description = description
    }
}
