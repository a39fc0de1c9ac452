internal import Wire
public import YAML

/// The declared mesh: branches, topic proxies, NATS servers, shared-memory pools, agents.
///
/// A topology that was loaded is valid: names are legal and unique, references resolve, `agents`
/// has one element for each replica, and links are named on both sides.
public struct Topology: Sendable {
    /// The topology's name, legal as a file name.
    public let name: String
    /// The file that it was loaded from.
    public let source: Source
    /// The file as a YAML document with references, aliases and overrides replaced.
    public let rendered: String
    /// Whether that says something else than the file does by itself.
    public let isAdjusted: Bool
    /// The folder that relative paths in the file start from.
    public let directory: String
    /// The NATS servers to spawn.
    public let servers: [NATSServer]
    /// The branches, each served by one ROUTER proxy.
    public let branches: [Branch]
    /// The topic proxies.
    public let topicProxies: [TopicProxy]
    /// The shared-memory pools.
    public let pools: [Pool]
    /// The agents, replicas expanded, in the file's order.
    public let agents: [Agent]
    /// The programs beside the mesh, replicas expanded, in the file's order.
    public let processes: [HelperProcess]
    /// What of agents and processes lives and dies together.
    public let groups: [ProcessGroup]
    /// When histories go on in other files; nil never.
    public let historyLimit: HistoryLimit?
    /// What no run of it can show, and why.
    public let blindSpots: [BlindSpot]
}

/// How large and how old a file of a history becomes.
public struct HistoryLimit: Sendable, Hashable {
    /// Bytes; nil for any size.
    public let bytes: Int?
    /// Seconds; nil for any time.
    public let seconds: Int?
}

extension Topology {
    /// The agent of that name.
    public func agent(named name: String) -> Agent? { agents.first { $0.name == name } }

    /// The agents that a reference means: one agent, or all replicas of a group.
    public func agents(referredToAs name: String) -> [Agent] {
        agents.filter { $0.name == name || $0.group == name }
    }

    /// The branch of that name.
    public func branch(named name: String) -> Branch? { branches.first { $0.name == name } }

    /// The NATS server of that name.
    public func server(named name: String) -> NATSServer? { servers.first { $0.name == name } }

    /// The branch that an agent is attached to.
    public func homeBranch(of agent: Agent) -> Branch? { branch(named: agent.branch) }

    /// The NATS server that an agent uses: its branch's.
    public func server(of agent: Agent) -> NATSServer? {
        homeBranch(of: agent)?.server.flatMap { server(named: $0) }
    }

    /// The proxy that serves what is published to a topic, or a subscription to it.
    public func topicProxy(for topic: String) -> TopicProxy? {
        topicProxies.first { $0.serves(topic) }
    }

    /// The agents in the order in which they start: each level when the one before is ready.
    public var startOrder: [[Agent]] {
        var levels: [[Agent]] = []
        var placed: Set<String> = []
        var waiting = agents
        while !waiting.isEmpty {
            let level = waiting.filter { agent in
                agent.dependencies.allSatisfy {
                    placed.contains($0.name) || self.agent(named: $0.name) == nil
                }
            }
            // A loaded topology has no cycle; without this, one would never end.
            guard !level.isEmpty else { return levels + [waiting] }
            levels.append(level)
            placed.formUnion(level.map(\.name))
            waiting.removeAll { placed.contains($0.name) }
        }
        return levels
    }
}

extension Topology {
    /// Whether contents too large for one message of this server go in several.
    public func isChunking(_ server: String?) -> Bool {
        servers.first { $0.name == server }?.isChunking ?? true
    }
}

/// A NATS server that a run spawns.
public struct NATSServer: Sendable {
    /// Its name.
    public let name: String
    /// The largest content that it takes, in bytes.
    public let maximumPayload: Int
    /// Whether contents that are larger go in several messages, to be put together again.
    public let isChunking: Bool
    /// The program: a path, or a name that is looked up in `PATH`.
    public let executable: String
    /// What happens when it ends by itself.
    public let restart: RestartPolicy
    /// Where the file declares it.
    public let location: Location
}

/// A part of the mesh that one ROUTER proxy serves.
public struct Branch: Sendable {
    /// Its name.
    public let name: String
    /// Where the proxy is, or is to bind; `nil` lets the run choose.
    public let endpoint: Endpoint?
    /// Whose proxy serves it.
    public let provider: ProxyProvider
    /// The branches that it is linked to, sorted; a link is named on both sides.
    public let links: [String]
    /// The NATS server that its proxy bridges to.
    public let server: String?
    /// How often the routing report is written.
    public let routingReport: Duration
    /// How many messages may wait for one destination.
    public let queueMessages: Int
    /// How many bytes may wait for one destination.
    public let queueBytes: Int
    /// What happens to what comes for a destination whose queue is full.
    public let queueOverflow: QueueOverflow
    /// How long a destination that takes nothing may hold up whoever sends, with `pause`.
    public let stallTimeout: Duration
    /// After how long a peer that does not answer is said to be silent; zero is never.
    public let peerTimeout: Duration
    /// What happens when its proxy ends by itself.
    public let restart: RestartPolicy
    /// Where the file declares it.
    public let location: Location
}

/// What happens to what comes for a destination whose queue is full.
public enum QueueOverflow: String, Sendable, CaseIterable {
    /// Whoever sends waits.
    case pause
    /// What has waited longest is dropped.
    case dropOldest = "drop_oldest"
    /// What came last is dropped.
    case dropNewest = "drop_newest"
}

/// An XSUB/XPUB proxy for topics.
public struct TopicProxy: Sendable {
    /// Its name.
    public let name: String
    /// Where publishers connect; `nil` lets the run choose.
    public let publish: Endpoint?
    /// Where subscribers connect; `nil` lets the run choose.
    public let subscribe: Endpoint?
    /// Whose proxy it is.
    public let provider: ProxyProvider
    /// The roots of the topics that it serves; no two of a topology overlap.
    public let prefixes: [String]
    /// The NATS server that it bridges to.
    public let server: String?
    /// Messages that may wait for it.
    public let queueMessages: Int
    /// Bytes that may wait for it.
    public let queueBytes: Int
    /// What happens to what comes then.
    public let queueOverflow: QueueOverflow
    /// How long a subscriber may hold the proxy up before it loses a message.
    public let stallTimeout: Duration
    /// After how long a subscriber that does not answer is said to be silent; zero is never.
    public let peerTimeout: Duration
    /// What happens when it ends by itself.
    public let restart: RestartPolicy
    /// Where the file declares it.
    public let location: Location

    /// Whether a topic is under one of the proxy's prefixes.
    public func serves(_ topic: String) -> Bool {
        prefixes.contains { Names.topic(topic, isUnder: $0) }
    }
}

/// Shared memory for large contents.
public struct Pool: Sendable {
    /// Its name.
    public let name: String
    /// The size of one slot in bytes.
    public let size: Int
    /// How many contents it holds at once.
    public let slots: Int
    /// What is done to notice that a content was altered.
    public let checksum: PoolChecksum
    /// How long a content stays that is not read.
    public let lease: Duration
    /// How long a sender waits for a slot.
    public let wait: Duration
    /// What a sender does that got no slot in that time.
    public let whenFull: PoolOverflow
    /// Where the file declares it.
    public let location: Location

    /// The bytes of shared memory that all slots need together.
    public var byteCount: Int { size * slots }
}

/// What is done to notice that a content in shared memory was altered.
public enum PoolChecksum: String, Sendable, CaseIterable {
    /// Nothing.
    case none
    /// The writer computes a digest.
    case write
    /// And every reader compares it.
    case verify
}

/// What a sender does that got no slot of a pool.
public enum PoolOverflow: String, Sendable, CaseIterable {
    /// It sends the content inside of the message.
    case direct
    /// It does not send.
    case fail
}

/// What happens when a process ends by itself.
public struct RestartPolicy: Sendable, Hashable {
    /// When it is started again.
    public enum Condition: String, Sendable, CaseIterable {
        case never
        case onFailure = "on_failure"
        case always
    }

    /// When it is started again.
    public let condition: Condition
    /// How long to wait before that.
    public let backoff: Duration
    /// The longest such wait: each is twice the one before.
    public let backoffMax: Duration
    /// Which share of each wait is up to chance, from 0 to 1.
    public let jitter: Double
    /// After how long a time up the next wait is the first one again.
    public let stable: Duration
    /// How many restarts within `period` are too many.
    public let maximumRestarts: Int
    /// The time in which restarts are counted.
    public let period: Duration

    /// Names a policy.
    public init(
        condition: Condition = .never, backoff: Duration = .milliseconds(100),
        backoffMax: Duration = .seconds(5), jitter: Double = 0, stable: Duration = .seconds(10),
        maximumRestarts: Int = 5, period: Duration = .seconds(60)
    ) {
        self.condition = condition
        self.backoff = backoff
        self.backoffMax = backoffMax
        self.jitter = jitter
        self.stable = stable
        self.maximumRestarts = maximumRestarts
        self.period = period
    }
}
