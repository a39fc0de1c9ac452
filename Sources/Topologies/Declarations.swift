internal import Wire
internal import YAML

/// A topology as the file has it: types are checked, references are not.
struct Declarations {
    var name: Located<String>?
    var servers: [Keyed<Server>] = []
    var branches: [Keyed<Branch>] = []
    var topicProxies: [Keyed<TopicProxy>] = []
    var pools: [Keyed<Pool>] = []
    var agents: [Keyed<Agent>] = []
    var processes: [Keyed<HelperProcess>] = []
    var processGroups: [Keyed<Group>] = []
    /// Where `agents` stands.
    var agentsLocation: Location?
    var historyLimit: HistoryLimit?

    struct Server {
        let maximumPayload: Int
        let isChunking: Bool
        let executable: String
        let restart: RestartPolicy
    }

    struct Branch {
        let endpoint: Located<Endpoint>?
        let links: [Located<String>]
        let server: Located<String>?
        let routingReport: Duration
        let queueMessages: Int
        let queueBytes: Int
        let overflow: QueueOverflow
        let stallTimeout: Duration
        let peerTimeout: Duration
        let restart: RestartPolicy
        let command: Located<[String]>?
        let connect: Located<Endpoint>?
        /// Keys that are about a proxy of ours alone, where they stand.
        let ownKeys: [(key: String, location: Location)]
        /// The same of keys that are, beside a proxy of the user's own, about the way to NATS.
        let bridgeKeys: [(key: String, location: Location)]
    }

    /// What may wait, where the file says it.
    struct Queue {
        let messages: Int?
        let bytes: Int?
        let overflow: Located<QueueOverflow>?
        /// As for branches.
        let ownKeys: [(key: String, location: Location)]
    }

    struct TopicProxy {
        let publish: Located<Endpoint>?
        let subscribe: Located<Endpoint>?
        let prefixes: [Located<String>]
        let server: Located<String>?
        let queue: Queue?
        let stallTimeout: Duration
        let peerTimeout: Duration
        let restart: RestartPolicy
        let command: Located<[String]>?
        let connect: Connection?
        /// As for branches.
        let ownKeys: [(key: String, location: Location)]
        let bridgeKeys: [(key: String, location: Location)]

        /// Where a proxy is that runs already.
        struct Connection {
            let publish: Located<Endpoint>?
            let subscribe: Located<Endpoint>?
            let location: Location
        }
    }

    /// `nil` for what the file must say and does not, which was reported.
    struct Pool {
        let size: Int?
        let slots: Int?
        let checksum: PoolChecksum
        let lease: Duration
        let wait: Duration
        let whenFull: PoolOverflow
    }

    struct Agent {
        let kind: Located<String>?
        let command: Located<[String]>?
        /// Where `kind` and `command` stand, even if their values are wrong.
        let kindKey: Location?
        let commandKey: Location?
        let perTransport: [Transport: TransportOptions]
        let branch: Located<String>?
        let transport: Located<Transport>?
        let wire: Located<AgentWire>?
        let contract: Located<AgentContract>?
        let history: Located<AgentHistory>?
        let batch: Located<BatchRule>?
        let delivery: Located<DeliveryClass>?
        let acknowledges: Located<Bool>?
        let sideEffects: SideEffects
        let answers: [Keyed<Answer>]
        /// Where `answers` stands.
        let answersKey: Location?
        let replicas: Located<Int>?
        /// Whether `replicas` stands there, even if its value is wrong.
        let hasReplicas: Bool
        let sending: NATSSending
        let settings: Node?
        let environment: [String: String]
        let environmentFiles: [Located<String>]
        let dependencies: [Dependency]
        let restart: RestartPolicy
        let upkeep: Upkeep
        /// Keys that are about a program of the user's alone, where they stand.
        let upkeepKeys: [(key: String, location: Location)]
    }

    struct Answer {
        let type: Located<String>?
        let key: String?
    }

    struct TransportOptions {
        let command: Located<[String]>?
        let environment: [String: String]
    }
}

extension Declarations {
    /// The shape of a topology file; every key that there is, is named below.
    static let version = 1
    /// How many proxies, servers and pools there may be, and what one of them may list: checks may
    /// take the square of it.
    private static let few = 0...200

    /// Reads a whole topology file.
    static var reading: Reading<Declarations> {
        .mapping { file in
            var declarations = Declarations()
            _ = file.required("synmesh", formatVersion, example: String(version))
            declarations.name = file.optional("name", .located(.string))
            declarations.servers = file.optional(
                "nats", .dictionary(of: server, count: few), default: [])
            declarations.branches = file.optional(
                "branches", .dictionary(of: branch, count: few), default: [])
            declarations.topicProxies = file.optional(
                "topic_proxies", .dictionary(of: topicProxy, count: few), default: [])
            declarations.pools = file.optional(
                "pools", .dictionary(of: pool, count: few), default: [])
            declarations.agents = file.optional(
                "agents", .dictionary(of: agent, count: 0...Resolver.agentCountMax), default: [])
            declarations.processes = file.optional(
                "processes", .dictionary(of: helperProcess, count: 0...Resolver.agentCountMax),
                default: [])
            declarations.processGroups = file.optional(
                "groups", .dictionary(of: group, count: few), default: [])
            declarations.historyLimit = file.optional("history", historyLimit) ?? nil
            declarations.agentsLocation = file.keyLocation(of: "agents")
            return declarations
        }
    }

    private static var historyLimit: Reading<HistoryLimit?> {
        .mapping { history in
            let size = history.optional("max_size", .byteSize(in: 65_536...(1 << 50)))
            let time = history.optional(
                "max_time", .duration(in: .seconds(1) ... .seconds(31_536_000)))
            if size == nil, time == nil {
                history.diagnostics.error(
                    "nothing says when a history goes on in another file", at: history.heading,
                    help: "write 'max_size: 1GB', 'max_time: 10m', or both")
            }
            return HistoryLimit(bytes: size, seconds: time.map { Int($0.components.seconds) })
        }
    }

    private static var formatVersion: Reading<Int> {
        .integer().checked { found in
            guard found != version else { return nil }
            return Complaint(
                "format version \(found) is not known",
                help: "this synmesh reads version \(version)"
            )
        }
    }

    private static var server: Reading<Server> {
        .mapping { server in
            Server(
                maximumPayload: server.optional(
                    "max_payload", .byteSize(in: 1_024...67_108_864), default: 1_048_576),
                isChunking: server.optional("chunking", .bool, default: true),
                executable: server.optional("executable", .nonemptyText, default: "nats-server"),
                restart: server.optional("restart", .restartPolicy, default: RestartPolicy()))
        }
    }

    /// libzmq counts what it promises a peer in tenths of a second, 16 bits of them.
    private static var peerTimeout: Reading<Duration> {
        .duration(in: .zero ... .seconds(600))
    }

    private static var queue: Reading<Queue> {
        .mapping { queue in
            Queue(
                messages: queue.optional("messages", .integer(in: 1...10_000_000)),
                bytes: queue.optional("bytes", .byteSize(in: 1_024...1_099_511_627_776)),
                overflow: queue.optional(
                    "overflow", .located(.enumeration("overflow", of: QueueOverflow.self))),
                ownKeys: places(of: "overflow", in: queue))
        }
    }

    private static var branch: Reading<Branch> {
        .mapping { branch in
            let queue = branch.optional("queue", queue)
            return Branch(
                endpoint: branch.optional("endpoint", .located(.endpoint)),
                links: branch.optional(
                    "links", .listOrOne(of: .located(.string), count: few), default: []),
                server: branch.optional("nats", .located(.string)),
                routingReport: branch.optional(
                    "routing_report", .duration(in: .milliseconds(100) ... .seconds(86_400)),
                    default: .seconds(5)),
                queueMessages: queue?.messages ?? 100_000,
                queueBytes: queue?.bytes ?? 268_435_456,
                overflow: queue?.overflow?.value ?? .dropNewest,
                stallTimeout: branch.optional(
                    "stall_timeout", .duration(in: .zero ... .seconds(600)), default: .seconds(5)),
                peerTimeout: branch.optional("peer_timeout", peerTimeout, default: .seconds(5)),
                restart: branch.optional(
                    "restart", .restartPolicy, default: RestartPolicy(condition: .onFailure)),
                command: branch.optional("command", .located(.command)),
                connect: branch.optional("connect", .located(.endpoint)),
                ownKeys: places(
                    of: "links", "routing_report", "stall_timeout", "peer_timeout", "restart",
                    in: branch)
                    + (queue?.ownKeys ?? []),
                bridgeKeys: places(of: "queue", in: branch))
        }
    }

    private static func places(
        of keys: String..., in reader: MappingReader
    ) -> [(key: String, location: Location)] {
        keys.compactMap { key in reader.keyLocation(of: key).map { (key, $0) } }
    }

    private static var topicProxy: Reading<TopicProxy> {
        .mapping { proxy in
            TopicProxy(
                publish: proxy.optional("publish", .located(.endpoint)),
                subscribe: proxy.optional("subscribe", .located(.endpoint)),
                prefixes: proxy.required(
                    "prefixes", .listOrOne(of: .located(.string), count: few), example: "[status]")
                    ?? [],
                server: proxy.optional("nats", .located(.string)),
                queue: proxy.optional("queue", queue),
                stallTimeout: proxy.optional(
                    "stall_timeout", .duration(in: .zero ... .seconds(600)), default: .seconds(5)),
                peerTimeout: proxy.optional("peer_timeout", peerTimeout, default: .seconds(5)),
                restart: proxy.optional(
                    "restart", .restartPolicy, default: RestartPolicy(condition: .onFailure)),
                command: proxy.optional("command", .located(.command)),
                connect: proxy.optional(
                    "connect",
                    .mapping { connect in
                        TopicProxy.Connection(
                            publish: connect.required(
                                "publish", .located(.endpoint), example: "tcp://127.0.0.1:5560"),
                            subscribe: connect.required(
                                "subscribe", .located(.endpoint),
                                example: "tcp://127.0.0.1:5561"),
                            location: connect.heading)
                    }),
                ownKeys: places(of: "peer_timeout", "restart", in: proxy),
                bridgeKeys: places(of: "stall_timeout", in: proxy))
        }
    }

    private static var pool: Reading<Pool> {
        .mapping { pool in
            Pool(
                size: pool.required("size", .byteSize(in: 1...(1 << 40))),
                slots: pool.required("slots", .integer(in: 1...4_096), example: "4"),
                checksum: pool.optional(
                    "checksum", .enumeration("checksum", of: PoolChecksum.self),
                    default: .verify),
                lease: pool.optional(
                    "lease", .duration(in: .milliseconds(100) ... .seconds(86_400)),
                    default: .seconds(60)),
                wait: pool.optional(
                    "wait", .duration(in: .zero ... .seconds(10)), default: .seconds(2)),
                whenFull: pool.optional(
                    "when_full", .enumeration("choice", of: PoolOverflow.self), default: .fail))
        }
    }

    private static var agent: Reading<Agent> {
        .mapping { agent in
            Agent(
                kind: agent.optional("kind", .located(.string)),
                command: agent.optional("command", .located(.command)),
                kindKey: agent.keyLocation(of: "kind"),
                commandKey: agent.keyLocation(of: "command"),
                perTransport: agent.optional("transports", transports, default: [:]),
                branch: agent.optional("branch", .located(.string)),
                transport: agent.optional(
                    "transport", .located(.enumeration("transport", of: Transport.self))),
                wire: agent.optional("wire", .located(.enumeration("wire", of: AgentWire.self))),
                contract: agent.optional(
                    "contract", .located(.enumeration("contract", of: AgentContract.self))),
                history: agent.optional(
                    "history", .located(.enumeration("history", of: AgentHistory.self))),
                batch: agent.optional("batch", .located(.batchRule)),
                delivery: agent.optional(
                    "delivery", .located(.enumeration("class", of: DeliveryClass.self))),
                acknowledges: agent.optional("acknowledges", .located(.bool)),
                sideEffects: agent.optional(
                    "side_effects", .enumeration("choice", of: SideEffects.self), default: .none),
                answers: agent.optional(
                    "answers", .dictionary(of: answer, count: few), default: []),
                answersKey: agent.keyLocation(of: "answers"),
                replicas: agent.optional("replicas", .located(.integer(in: 1...1_000))),
                hasReplicas: agent.contains("replicas"),
                sending: agent.optional(
                    "nats_send", .enumeration("choice", of: NATSSending.self), default: .atOnce),
                settings: agent.optional("settings", .any),
                environment: agent.optional("environment", .environment, default: [:]),
                environmentFiles: agent.optional("env_file", environmentFiles, default: []),
                dependencies: agent.optional("depends_on", dependencies, default: []),
                restart: agent.optional("restart", .restartPolicy, default: RestartPolicy()),
                upkeep: upkeep(agent),
                upkeepKeys: ["probes", "working_directory", "limits", "log"].compactMap { key in
                    agent.keyLocation(of: key).map { (key, $0) }
                })
        }
    }

    /// `TYPE`, or `{type: TYPE, key: MEMBER}`.
    private static var answer: Reading<Answer> {
        let long = Reading<Answer>.mapping { answer in
            Answer(
                type: answer.required("type", .located(.string), example: "echo"),
                key: answer.optional("key", .nonemptyText))
        }
        return Reading("a message type, or a mapping", example: "echo") { node, diagnostics in
            if case .mapping = node.content { return long.read(node, reportingTo: diagnostics) }
            return Reading<Located<String>>.located(.string).read(node, reportingTo: diagnostics)
                .map { Answer(type: $0, key: nil) }
        }
    }

    private static var transports: Reading<[Transport: TransportOptions]> {
        .mapping { transports in
            var options: [Transport: TransportOptions] = [:]
            for transport in Transport.allCases {
                options[transport] = transports.optional(
                    transport.rawValue,
                    .mapping { option in
                        TransportOptions(
                            command: option.optional("command", .located(.command)),
                            environment: option.optional(
                                "environment", .environment, default: [:]))
                    })
            }
            return options
        }
    }
}
