public import JSON
public import Wire

/// What a branch proxy is told before it starts.
public struct BranchConfiguration: Sendable, Hashable {
    /// How an agent's messages look on its socket.
    public enum AgentWire: String, Sendable, Hashable, CaseIterable {
        /// Header and content in frames of their own.
        case frames
        /// The seed's one JSON object.
        case json
    }

    /// An agent whose home this branch is.
    public struct Agent: Sendable, Hashable {
        /// Its name.
        public var name: String
        /// How it is attached when the proxy starts.
        public var transport: Transport
        /// How its messages look.
        public var wire: AgentWire
        /// Whether it records for itself; otherwise the proxy records what passes.
        public var keepsHistory: Bool
        /// Whether it takes batches on NATS, where it says no hello.
        public var takesBatches: Bool

        /// Names an agent.
        public init(
            name: String, transport: Transport = .zmq, wire: AgentWire = .frames,
            keepsHistory: Bool = true, takesBatches: Bool = true
        ) {
            self.name = name
            self.transport = transport
            self.wire = wire
            self.keepsHistory = keepsHistory
            self.takesBatches = takesBatches
        }
    }

    /// The branch's name.
    public var name: String
    /// Where agents connect, such as `tcp://127.0.0.1:*`.
    public var endpoint: String
    /// The NATS server, where there is one.
    public var nats: String?
    /// Whether contents too large for one of its messages are published in several.
    public var isChunking = true
    /// Time between two routing reports in the log.
    public var routingReport: Duration
    /// Messages that may wait for one destination.
    public var queueMessages: Int
    /// Bytes that may wait for one destination.
    public var queueBytes: Int
    /// What happens to what comes for a destination whose queue is full.
    public var overflow = QueueOverflow.dropNewest
    /// The longest that a destination which takes nothing may hold up the others, where they wait.
    public var stallTimeout = Duration.seconds(5)
    /// After how long a peer that does not answer is said to be silent; zero is never.
    public var peerTimeout = Duration.zero
    /// The agents whose home this branch is.
    public var agents: [Agent]
    /// Agents of any branch that keep no history: what they send over NATS to an agent of this one
    /// is recorded here.
    public var recorded: Set<String> = []
    /// Another branch, and who lives there.
    public struct Neighbour: Sendable, Hashable {
        /// Its name.
        public var name: String
        /// Its ROUTER.
        public var endpoint: String
        /// Its agents.
        public var agents: [String]

        /// Names a branch.
        public init(name: String, endpoint: String, agents: [String]) {
            self.name = name
            self.endpoint = endpoint
            self.agents = agents
        }
    }

    /// The branches that it is linked to from the start; others follow by the command `link`.
    public var neighbours: [Neighbour] = []
    /// Where the proxy keeps where its agents live; nil nowhere.
    public var registry: String?
    /// Whether what is published for agents that are on NATS themselves is watched too: some sender
    /// or receiver keeps no history, or gives no identity.
    public var isTapping = false

    /// Makes a configuration.
    public init(
        name: String, endpoint: String = "tcp://127.0.0.1:*", nats: String? = nil,
        routingReport: Duration = .seconds(5), queueMessages: Int = 100_000,
        queueBytes: Int = 268_435_456, agents: [Agent] = []
    ) {
        self.name = name
        self.endpoint = endpoint
        self.nats = nats
        self.routingReport = routingReport
        self.queueMessages = queueMessages
        self.queueBytes = queueBytes
        self.agents = agents
    }

    /// Reads a configuration.
    ///
    /// - Throws: `RoutingError.configuration` with the first thing that is wrong.
    public init(_ value: Value) throws(RoutingError) {
        var reader = try ConfigurationReader(value, "the configuration")
        self.init(
            name: try reader.name("name"), endpoint: try reader.text("endpoint"),
            nats: try reader.optionalText("nats"),
            routingReport: .milliseconds(
                try reader.number("routing_report_ms", default: 5_000, atLeast: 1)),
            queueMessages: try reader.number("queue_messages", default: 100_000, atLeast: 1),
            queueBytes: try reader.number("queue_bytes", default: 268_435_456, atLeast: 1))
        var names: Set<String> = []
        for (index, element) in try reader.array("agents").enumerated() {
            var agent = try ConfigurationReader(element, "agents[\(index)]")
            let name = try agent.name("name")
            guard names.insert(name).inserted else {
                throw .configuration("agents[\(index)]: the agent '\(name)' stands twice")
            }
            agents.append(
                Agent(
                    name: name,
                    transport: try agent.choice("transport", default: .zmq),
                    wire: try agent.choice("wire", default: .frames),
                    keepsHistory: try agent.flag("history", default: true),
                    takesBatches: try agent.flag("batches", default: true)))
            try agent.finish()
        }
        overflow = try reader.choice("overflow", default: .dropNewest)
        stallTimeout = .milliseconds(
            try reader.number("stall_timeout_ms", default: 5_000, atLeast: 0))
        peerTimeout = .milliseconds(
            try reader.number("peer_timeout_ms", default: 0, atLeast: 0))
        isTapping = try reader.flag("taps", default: false)
        registry = try reader.optionalText("registry")
        for (index, element) in try reader.array("links").enumerated() {
            var link = try ConfigurationReader(element, "links[\(index)]")
            neighbours.append(
                Neighbour(
                    name: try link.name("name"), endpoint: try link.text("endpoint"),
                    agents: try link.names("agents").sorted()))
            try link.finish()
        }
        recorded = try reader.names("record")
        isChunking = try reader.flag("nats_chunking", default: true)
        try reader.finish()
    }
}

/// What a topic proxy is told before it starts.
public struct TopicConfiguration: Sendable, Hashable {
    /// The proxy's name.
    public var name: String
    /// Where publishers connect.
    public var publishEndpoint: String
    /// Where subscribers connect.
    public var subscribeEndpoint: String
    /// The NATS server, where there is one.
    public var nats: String?
    /// Whether contents too large for one of its messages are published in several.
    public var isChunking = true
    /// What is under one of these is bridged to NATS and back.
    public var prefixes: [String]
    /// The longest that one subscriber without room may hold up the others.
    public var stallTimeout: Duration
    /// After how long a subscriber that does not answer is said to be silent; zero is never.
    public var peerTimeout = Duration.zero
    /// Messages that may wait for NATS.
    public var queueMessages = 100_000
    /// Bytes that may wait for NATS.
    public var queueBytes = 16_777_216
    /// What happens to what comes then.
    ///
    /// Beside a proxy of the user's own nobody can be made to wait.
    public var overflow: QueueOverflow
    /// Agents that keep no history: what they publish here is recorded here.
    public var recorded: Set<String> = []
    /// Whether the endpoints are those of a proxy of the user's own, to which this one connects.
    public var isBeside: Bool

    /// Makes a configuration.
    public init(
        name: String, publishEndpoint: String = "tcp://127.0.0.1:*",
        subscribeEndpoint: String = "tcp://127.0.0.1:*", nats: String? = nil,
        prefixes: [String] = [], stallTimeout: Duration = .seconds(5), isBeside: Bool = false
    ) {
        self.isBeside = isBeside
        overflow = isBeside ? .dropNewest : .pause
        self.name = name
        self.publishEndpoint = publishEndpoint
        self.subscribeEndpoint = subscribeEndpoint
        self.nats = nats
        self.prefixes = prefixes
        self.stallTimeout = stallTimeout
    }

    /// Reads a configuration.
    ///
    /// - Throws: `RoutingError.configuration` with the first thing that is wrong.
    public init(_ value: Value) throws(RoutingError) {
        var reader = try ConfigurationReader(value, "the configuration")
        self.init(
            name: try reader.name("name"), publishEndpoint: try reader.text("publish_endpoint"),
            subscribeEndpoint: try reader.text("subscribe_endpoint"),
            nats: try reader.optionalText("nats"),
            stallTimeout: .milliseconds(
                try reader.number("stall_timeout_ms", default: 5_000, atLeast: 0)),
            isBeside: try reader.flag("beside", default: false))
        for (index, element) in try reader.array("prefixes").enumerated() {
            guard let prefix = element.string, Names.isLegalTopic(prefix) else {
                throw .configuration("prefixes[\(index)] is no topic")
            }
            prefixes.append(prefix)
        }
        peerTimeout = .milliseconds(
            try reader.number("peer_timeout_ms", default: 0, atLeast: 0))
        queueMessages = try reader.number("queue_messages", default: queueMessages, atLeast: 1)
        queueBytes = try reader.number("queue_bytes", default: queueBytes, atLeast: 1)
        overflow = try reader.choice("overflow", default: overflow)
        guard !isBeside || overflow != .pause else {
            throw .configuration("'overflow': nobody waits for what is beside a proxy")
        }
        recorded = try reader.names("record")
        isChunking = try reader.flag("nats_chunking", default: true)
        try reader.finish()
    }
}

/// What the bridge of a branch with a proxy of the user's own is told before it starts.
public struct BridgeConfiguration: Sendable, Hashable {
    /// An agent whose home the branch is.
    public struct Agent: Sendable, Hashable {
        /// Its name.
        public var name: String
        /// How it is attached when the bridge starts.
        public var transport: Transport

        /// Names an agent.
        public init(name: String, transport: Transport = .zmq) {
            self.name = name
            self.transport = transport
        }
    }

    /// The bridge's own name.
    public var name: String
    /// The branch's name.
    public var branch: String
    /// The user's ROUTER.
    public var router: String
    /// The NATS server.
    public var nats: String
    /// Whether contents too large for one of its messages are published in several.
    public var isChunking = true
    /// Messages that may wait for one destination.
    public var queueMessages: Int
    /// Bytes that may wait for one destination.
    public var queueBytes: Int
    /// The agents whose home the branch is.
    public var agents: [Agent]

    /// Makes a configuration.
    public init(
        name: String, branch: String, router: String, nats: String,
        queueMessages: Int = 100_000, queueBytes: Int = 268_435_456, agents: [Agent] = []
    ) {
        self.name = name
        self.branch = branch
        self.router = router
        self.nats = nats
        self.queueMessages = queueMessages
        self.queueBytes = queueBytes
        self.agents = agents
    }

    /// Reads a configuration.
    ///
    /// - Throws: `RoutingError.configuration` with the first thing that is wrong.
    public init(_ value: Value) throws(RoutingError) {
        var reader = try ConfigurationReader(value, "the configuration")
        self.init(
            name: try reader.name("name"), branch: try reader.name("branch"),
            router: try reader.text("router"), nats: try reader.text("nats"),
            queueMessages: try reader.number("queue_messages", default: 100_000, atLeast: 1),
            queueBytes: try reader.number("queue_bytes", default: 268_435_456, atLeast: 1))
        for (index, element) in try reader.array("agents").enumerated() {
            var agent = try ConfigurationReader(element, "agents[\(index)]")
            agents.append(
                Agent(
                    name: try agent.name("name"),
                    transport: try agent.choice("transport", default: .zmq)))
            try agent.finish()
        }
        isChunking = try reader.flag("nats_chunking", default: true)
        try reader.finish()
    }
}

/// Reads the members of one object, each once; what is left over is a mistake.
private struct ConfigurationReader {
    private var members: [String: Value]
    private let place: String

    init(_ value: Value, _ place: String) throws(RoutingError) {
        guard let members = value.object else {
            throw .configuration("\(place) is no JSON object")
        }
        self.members = members
        self.place = place
    }

    private mutating func take(_ key: String) -> Value? {
        guard let value = members.removeValue(forKey: key), value != .null else { return nil }
        return value
    }

    mutating func text(_ key: String) throws(RoutingError) -> String {
        guard let text = try optionalText(key) else {
            throw .configuration("\(place): '\(key)' is missing")
        }
        return text
    }

    mutating func optionalText(_ key: String) throws(RoutingError) -> String? {
        guard let value = take(key) else { return nil }
        guard let text = value.string, !text.isEmpty else {
            throw .configuration("\(place): '\(key)' is no text")
        }
        return text
    }

    mutating func name(_ key: String) throws(RoutingError) -> String {
        let name = try text(key)
        guard Names.isLegal(name) else {
            throw .configuration(
                "\(place): '\(key)' must be a letter or digit, then letters, digits, '_' or '-'")
        }
        return name
    }

    mutating func number(
        _ key: String, default fallback: Int, atLeast least: Int
    ) throws(RoutingError) -> Int {
        guard let value = take(key) else { return fallback }
        guard let integer = value.integer, let number = Int(exactly: integer), number >= least
        else { throw .configuration("\(place): '\(key)' must be a number, at least \(least)") }
        return number
    }

    mutating func choice<Choice: RawRepresentable & CaseIterable>(
        _ key: String, default fallback: Choice
    ) throws(RoutingError) -> Choice where Choice.RawValue == String {
        guard let value = take(key) else { return fallback }
        guard let choice = value.string.flatMap(Choice.init(rawValue:)) else {
            let known = Choice.allCases.map(\.rawValue).joined(separator: " or ")
            throw .configuration("\(place): '\(key)' must be \(known)")
        }
        return choice
    }

    mutating func flag(_ key: String, default fallback: Bool) throws(RoutingError) -> Bool {
        guard let value = take(key) else { return fallback }
        guard let flag = value.bool else {
            throw .configuration("\(place): '\(key)' must be true or false")
        }
        return flag
    }

    /// Names of agents.
    mutating func names(_ key: String) throws(RoutingError) -> Set<String> {
        var names: Set<String> = []
        for (index, element) in try array(key).enumerated() {
            guard let name = element.string, Names.isLegal(name) else {
                throw .configuration("\(key)[\(index)] is no agent's name")
            }
            names.insert(name)
        }
        return names
    }

    mutating func array(_ key: String) throws(RoutingError) -> [Value] {
        guard let value = take(key) else { return [] }
        guard let array = value.array else {
            throw .configuration("\(place): '\(key)' is no array")
        }
        return array
    }

    func finish() throws(RoutingError) {
        guard let key = members.keys.min() else { return }
        throw .configuration("\(place): unknown key '\(key)'")
    }
}
