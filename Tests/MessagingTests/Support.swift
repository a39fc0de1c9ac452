import JSON
import Messaging
import NATS
import Recording
import Routing
import Synchronization
import TestSupport
import Wire
import ZeroMQ

/// Keeps in memory what a client records.
final class MemoryRecorder: MessageRecorder {
    struct Entry: Hashable {
        let envelope: Envelope
        let direction: Direction
        let transport: String
        let lane: Lane
    }

    private(set) var entries: [Entry] = []
    private(set) var annotations: [Annotation] = []

    func record(
        _ envelope: Envelope, _ direction: Direction, transport: String, lane: Lane
    ) throws(HistoryError) {
        entries.append(
            Entry(envelope: envelope, direction: direction, transport: transport, lane: lane))
    }

    func annotate(_ annotation: Annotation) throws(HistoryError) { annotations.append(annotation) }

    func envelopes(_ direction: Direction, _ lane: Lane = .primary) -> [Envelope] {
        entries.filter { $0.direction == direction && $0.lane == lane }.map(\.envelope)
    }
}

/// One agent of a test: its client, and what it recorded.
struct TestAgent {
    let client: AgentClient
    let recorder: MemoryRecorder
    /// Lives as long as its agents.
    let mesh: TestMesh
}

/// The meshes that the conformance suite runs on.
enum MeshKind: String, CaseIterable {
    case inProcess, zeroMQ, nats, dual
    /// The agent `b` on NATS, the others on ZeroMQ, the proxies between them.
    case bridged
    /// On ZeroMQ through proxies that know nothing of us.
    case foreign
    /// The same with `b` on NATS, and our bridge beside those proxies.
    case foreignBridged

    var hasForeignProxies: Bool { self == .foreign || self == .foreignBridged }
    var isBridged: Bool { self == .bridged || self == .foreignBridged }
}

/// A mesh of one kind, with names that no other test uses.
final class TestMesh {
    let kind: MeshKind
    /// Whether agents send large contents over NATS in chunks.
    var isChunking = true
    let clock = RunClock.starting()
    /// Topics of this mesh begin with it.
    let root = "r\(UInt32.random(in: 0...UInt32.max))"
    private let suffix = UInt32.random(in: 0...UInt32.max)
    private let inProcess = InProcessMesh()
    let branch: ProxyThread?
    let topics: ProxyThread?
    let foreign: ForeignNodes?
    private let context: Context

    init(_ kind: MeshKind) throws {
        self.kind = kind
        context = try Context()
        let suffix = suffix
        let url = kind.isBridged ? try NATSServer.shared.get().url : nil
        foreign = kind.hasForeignProxies ? try ForeignNodes() : nil
        if let foreign {
            let agents = ["a", "b", "c"].map { agent in
                BridgeConfiguration.Agent(
                    name: "\(agent)-\(suffix)", transport: agent == "b" ? .nats : .zmq)
            }
            if let url {
                branch = try ProxyThread.bridge(
                    BridgeConfiguration(
                        name: "core-\(suffix)-bridge", branch: "core-\(suffix)",
                        router: foreign.router, nats: url, agents: agents),
                    in: context, clock: clock)
            } else {
                branch = nil
            }
            topics = try ProxyThread.topics(
                TopicConfiguration(
                    name: "topics-\(suffix)", publishEndpoint: foreign.publish,
                    subscribeEndpoint: foreign.subscribe, nats: url, prefixes: [root],
                    isBeside: true), in: context, clock: clock)
            return
        }
        guard kind == .zeroMQ || kind == .dual || kind == .bridged else {
            branch = nil
            topics = nil
            return
        }
        let agents = ["a", "b", "c"].map { agent in
            BranchConfiguration.Agent(
                name: "\(agent)-\(suffix)",
                transport: kind == .bridged && agent == "b" ? .nats : .zmq)
        }
        branch = try ProxyThread.branch(
            BranchConfiguration(
                name: "core-\(suffix)", endpoint: "tcp://127.0.0.1:*", nats: url, agents: agents),
            in: context, clock: clock)
        topics = try ProxyThread.topics(
            TopicConfiguration(
                name: "topics-\(suffix)", publishEndpoint: "tcp://127.0.0.1:*",
                subscribeEndpoint: "tcp://127.0.0.1:*", nats: url, prefixes: [root]),
            in: context, clock: clock)
    }

    deinit {
        branch?.stop()
        topics?.stop()
    }

    var natsURL: String { get throws { try NATSServer.shared.get().url } }
    var run: String { "run\(suffix)" }

    func name(_ agent: String) -> String { "\(agent)-\(suffix)" }

    func transport(_ agent: String, incarnation: UInt32 = 1) throws -> any AgentTransport {
        switch kind {
        case .inProcess: return try InProcessTransport(agent: name(agent), mesh: inProcess)
        case .nats: return try overNATS(agent)
        case .zeroMQ: return try overZeroMQ(agent, incarnation)
        case .bridged:
            return agent == "b" ? try overNATS(agent) : try overZeroMQ(agent, incarnation)
        case .foreign: return try overSeedWire(agent, incarnation)
        case .foreignBridged:
            return agent == "b" ? try overNATS(agent) : try overSeedWire(agent, incarnation)
        case .dual:
            return DualTransport(
                primary: try overZeroMQ(agent, incarnation),
                shadow: try NATSTransport(
                    agent: name(agent), url: natsURL, shadowRun: run, isChunking: isChunking),
                isDuplicating: true)
        }
    }

    func overNATS(_ agent: String) throws -> NATSTransport {
        try NATSTransport(agent: name(agent), url: natsURL, isChunking: isChunking)
    }

    func overZeroMQ(_ agent: String, _ incarnation: UInt32 = 1) throws -> ZeroMQTransport {
        guard let branch, let topics else { throw TestFailure("no proxies") }
        let proxy = TopicProxyEndpoints(
            name: "topics", publish: topics.endpoints["publish"] ?? "",
            subscribe: topics.endpoints["subscribe"] ?? "", prefixes: [root])
        return try ZeroMQTransport(
            .init(
                agent: name(agent), incarnation: incarnation,
                branch: branch.endpoints["router"] ?? "", topicProxies: [proxy]),
            clock: clock, in: context)
    }

    func overSeedWire(_ agent: String, _ incarnation: UInt32 = 1) throws -> SeedTransport {
        guard let foreign else { throw TestFailure("no proxies") }
        let proxy = TopicProxyEndpoints(
            name: "topics", publish: foreign.publish, subscribe: foreign.subscribe,
            prefixes: [root])
        return try SeedTransport(
            .init(
                agent: name(agent), incarnation: incarnation, branch: foreign.router,
                topicProxies: [proxy]), clock: clock, in: context)
    }

    func agent(
        _ agent: String, incarnation: UInt32 = 1, over transport: (any AgentTransport)? = nil,
        restoring state: Value? = nil, defects: Defects? = nil, batching: Batching? = nil
    ) throws -> TestAgent {
        let recorder = MemoryRecorder()
        var options = AgentClient.Options()
        options.defects = defects
        options.batching = batching
        let client = try AgentClient(
            name: name(agent), incarnation: incarnation, clock: clock,
            transport: transport ?? self.transport(agent, incarnation: incarnation),
            recorder: recorder, restoring: state, options: options)
        return TestAgent(client: client, recorder: recorder, mesh: self)
    }
}

extension AgentClient {
    /// Receives `count` envelopes, or fewer where they do not come.
    func receive(count: Int, within time: Duration = .seconds(10)) throws -> [Envelope] {
        var envelopes: [Envelope] = []
        let end = ContinuousClock.now + time
        while envelopes.count < count, ContinuousClock.now < end {
            if let envelope = try receive(timeout: end - ContinuousClock.now) {
                envelopes.append(envelope)
            }
        }
        return envelopes
    }

    /// Whether nothing comes; `fence` has sent everything before.
    func isQuiet(after fence: AgentClient) throws -> Bool {
        try fence.send(to: name, type: "fence", content: [])
        return try receive(timeout: .seconds(10))?.type == "fence"
    }
}

/// Content that differs at every place.
func pattern(_ size: Int) -> [UInt8] {
    (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ $0 >> 8) }
}
