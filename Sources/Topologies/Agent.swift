public import JSON
public import Wire
public import YAML

/// One agent; where the file says `replicas`, one of several alike.
public struct Agent: Sendable {
    /// What it is called on the wire: `camera`, or `camera-2` where there are replicas.
    public let name: String
    /// What the file calls it: `camera`.
    public let group: String
    /// Which built-in agent it is, or `nil` where it is a command of the user's.
    public let kind: String?
    /// The branch that it is attached to.
    public let branch: String
    /// The transport that it starts on.
    public let transport: Transport
    /// What it speaks on ZeroMQ.
    public let wire: AgentWire
    /// How much of the agents' contract it keeps.
    public let contract: AgentContract
    /// Whether it records what it sends and is delivered; what others do, the mesh records as it
    /// passes.
    public let keepsHistory: Bool
    /// What of that which it sends goes together in one message; `nil`: nothing does.
    public let batch: BatchRule?
    /// The delivery class of what it sends to agents.
    public let delivery: DeliveryClass
    /// Whether it acknowledges what it has recorded: built-in agents do, of a command its entry says
    /// so.
    public let acknowledges: Bool
    /// Whether what it does can be done twice.
    public let sideEffects: SideEffects
    /// What it is to answer to whom asks it: what a program of the user's did with what it was
    /// handed is judged by this alone.
    public let answers: [AnswerRule]
    /// When what it publishes on NATS leaves.
    public let sending: NATSSending
    /// Its settings as it gets them: sizes in bytes, groups expanded, paths resolved.
    public let settings: Value
    /// What must be so of other agents and processes before it starts, groups expanded.
    public let dependencies: [Dependency]
    /// What happens when it ends by itself.
    public let restart: RestartPolicy
    /// How it is kept.
    public let upkeep: Upkeep
    /// Where the file declares it.
    public let location: Location

    /// Whether the proxy of its branch is one of the user's own.
    let isBehindForeignProxy: Bool
    /// Where the file says its delivery class.
    let deliveryLocation: Location?
    let launches: [Transport: Launch]

    /// Whether it is on the control plane: waited for, commanded, drained, stopped and asked.
    public var speaks: Bool { contract == .full }

    /// Whether it takes several contents in one message: that is part of the full contract.
    public var takesBatches: Bool { speaks && wire == .frames }

    /// How it is started on a transport; `nil` where it cannot run on that one.
    public func launch(on transport: Transport) -> Launch? { launches[transport] }
}

extension Agent {
    /// The topics that a built-in agent publishes to, as its settings say.
    public var publishedTopics: [String] { names(.publishedTopics) }

    /// The topics that a built-in agent subscribes to, as its settings say.
    public var subscribedTopics: [String] { names(.subscribedTopics) }

    /// The agents that a built-in agent sends to, as its settings say.
    public var addressedAgents: [String] { names(.agents) }

    private func names(_ shape: AgentKind.Shape) -> [String] {
        guard let kind, let settings = AgentKind.all.first(where: { $0.name == kind })?.settings
        else { return [] }
        return settings.filter { $0.shape == shape }.flatMap { setting in
            (self.settings[setting.name]?.array ?? []).compactMap(\.string)
        }
    }
}

/// Whether an agent does something that is not to be done twice, such as a paid call or an e-mail.
public enum SideEffects: String, Sendable, CaseIterable {
    /// Whatever it does, it may do again.
    case none
    /// It takes no part in runs that do everything twice.
    case refuse
}

/// When what an agent publishes on NATS leaves its process.
public enum NATSSending: String, Sendable, CaseIterable {
    /// With each envelope.
    case atOnce = "at_once"
    /// Up to a millisecond later, together with what else was published by then.
    case buffered
}

/// What an agent speaks on ZeroMQ.
public enum AgentWire: String, Sendable, CaseIterable {
    /// Header and content in frames of their own: what agents built on the SDK speak.
    case frames
    /// The seed's single JSON frame.
    case json
}

/// How much of the agents' contract (`agents/README.md`) an agent keeps.
public enum AgentContract: String, Sendable, CaseIterable {
    /// What goes over the wire, and nothing more: it is started, and ended by a signal.
    case wire
    /// All of it: it also says that it is ready, obeys commands and hands over its state.
    case full
}

/// A promise of an agent: each message of one type is answered by one of another, to its sender.
public struct AnswerRule: Sendable, Hashable {
    /// The type of what is asked.
    public let request: String
    /// The type of what is answered.
    public let answer: String
    /// The member of both contents that is the same in a request and its answer; `nil`: the whole
    /// content is.
    public let key: String?

    /// A promise.
    public init(request: String, answer: String, key: String? = nil) {
        self.request = request
        self.answer = answer
        self.key = key
    }
}

/// Who records what an agent sends and is delivered.
public enum AgentHistory: String, Sendable, CaseIterable {
    /// The mesh does, as it passes.
    case none
    /// The agent itself, in a history as `Documentation/history-format.md` describes it.
    case own
}

/// How an agent's process is started.
public struct Launch: Sendable, Hashable {
    /// What is run.
    public enum Program: Sendable, Hashable {
        /// A program of this package, such as `synmesh-probe`.
        case builtIn(String)
        /// A program and its arguments; it starts in the topology's folder.
        case command([String])
    }

    /// What is run.
    public let program: Program
    /// What the topology adds to its environment.
    public let environment: [String: String]
}
