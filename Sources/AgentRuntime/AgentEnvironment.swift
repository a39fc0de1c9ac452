public import JSON
public import Messaging
public import Recording
public import Wire

/// What the orchestrator tells an agent by its environment, read once and checked.
public struct AgentEnvironment: Hashable, Sendable {
    /// The run's id.
    public let run: String
    /// The agent's name.
    public let name: String
    /// How often the agent was started; the first start is 1.
    public let incarnation: UInt32
    /// The orchestrator's control socket.
    public let control: String
    /// The run's one clock.
    public let clock: RunClock
    /// The run's seed.
    public let seed: UInt64
    /// The agent's history file, which does not exist yet.
    public let history: String
    /// When it goes on in another file; nil never.
    public let rotation: HistoryRotation?
    /// What the former incarnation left behind; the file may not exist.
    public let state: String?
    /// Which of the program's agents this is.
    public let kind: String
    /// How the agent is attached.
    public let transport: Transport
    /// Set where a former life may have been moved: the number of the decision where this one lives, above
    /// all that were before.
    public let routeEpoch: UInt64?
    /// What is spoken to the branch: `json` where its ROUTER is one of the user's own.
    public let speaksSeedWire: Bool
    /// The ROUTER of the agent's branch; there where `transport` is `zmq`.
    public let branch: String?
    /// The NATS server; there where `transport` is `nats`.
    public let nats: String?
    /// When what is published on NATS leaves.
    public let natsSending: NATSSending
    /// Whether contents too large for one message of the NATS server are sent in several.
    public let isNATSChunking: Bool
    /// The agents that speak only the seed's wire, where their branches number what they send.
    public let seedAgents: Set<String>?
    /// The topic proxies of the mesh.
    public let topicProxies: [TopicProxyEndpoints]
    /// The shared-memory pools of the mesh.
    public let pools: [PoolAccess]
    /// What of that which the agent sends goes together in one message; nil: nothing does.
    public let batching: Batching?
    /// The delivery class of what is sent to agents.
    public let delivery: DeliveryClass
    /// The agents that acknowledge what they record; nil is all.
    public let acknowledging: Set<String>?
    /// The agent's settings, an object.
    public let settings: Value

    /// Reads the variables that `variable` looks up.
    ///
    /// - Throws: `AgentFailure` that names every variable that is missing or malformed.
    public init(_ variable: @escaping (String) -> String?) throws(AgentFailure) {
        var reader = VariableReader(variable: variable)
        run = reader.text("SYNMESH_RUN")
        name = reader.name("SYNMESH_NAME")
        incarnation = reader.number("SYNMESH_INCARNATION", in: 1...UInt32.max)
        control = reader.text("SYNMESH_CONTROL")
        clock = RunClock(
            offset: reader.number("SYNMESH_CLOCK_OFFSET", in: Int64.min...Int64.max))
        seed = reader.number("SYNMESH_SEED", in: 0...UInt64.max)
        history = reader.text("SYNMESH_HISTORY")
        rotation = HistoryRotation(environment: variable)
        state = reader.optional("SYNMESH_STATE")
        kind = reader.name("SYNMESH_KIND")
        transport = reader.transport("SYNMESH_TRANSPORT")
        routeEpoch =
            variable("SYNMESH_ROUTE_EPOCH").map { _ in
                reader.number("SYNMESH_ROUTE_EPOCH", in: 1...UInt64(Int64.max))
            }
        speaksSeedWire = reader.choice("SYNMESH_WIRE", of: ["frames", "json"]) == "json"
        branch =
            transport == .zmq
            ? reader.text("SYNMESH_BRANCH_ENDPOINT") : reader.optional("SYNMESH_BRANCH_ENDPOINT")
        nats =
            transport == .nats
            ? reader.text("SYNMESH_NATS_URL") : reader.optional("SYNMESH_NATS_URL")
        natsSending =
            NATSSending(
                rawValue: reader.choice(
                    "SYNMESH_NATS_SEND", of: NATSSending.allCases.map(\.rawValue))) ?? .atOnce
        isNATSChunking = reader.choice("SYNMESH_NATS_CHUNKING", of: ["true", "false"]) == "true"
        seedAgents = reader.names("SYNMESH_SEED_AGENTS")
        topicProxies = reader.topicProxies("SYNMESH_TOPIC_PROXIES")
        pools = reader.pools("SYNMESH_POOLS")
        batching = reader.batching("SYNMESH_BATCH")
        delivery =
            DeliveryClass(
                rawValue: reader.choice(
                    "SYNMESH_DELIVERY", of: DeliveryClass.allCases.map(\.rawValue)))
            ?? .atMostOnce
        acknowledging = reader.names("SYNMESH_ACKNOWLEDGING")
        settings = reader.settings("SYNMESH_SETTINGS")
        guard reader.problems.isEmpty else {
            throw AgentFailure(
                .environment,
                (["the environment does not say what an agent needs to know:"] + reader.problems
                    + [
                        "Agents are started by 'synmesh up' or 'synmesh run'; agents/README.md "
                            + "lists the variables."
                    ]).joined(separator: "\n  "))
        }
    }
}

/// Reads variables and collects what is wrong with them.
private struct VariableReader {
    let variable: (String) -> String?
    private(set) var problems: [String] = []

    init(variable: @escaping (String) -> String?) {
        self.variable = variable
    }

    mutating func optional(_ key: String) -> String? {
        variable(key).flatMap { $0.isEmpty ? nil : $0 }
    }

    mutating func text(_ key: String) -> String {
        guard let text = optional(key) else {
            problems.append("\(key) is missing")
            return ""
        }
        return text
    }

    mutating func name(_ key: String) -> String {
        let text = text(key)
        if !text.isEmpty && !Names.isLegal(text) {
            problems.append("\(key) is '\(text)', not a legal name")
        }
        return text
    }

    mutating func number<Number: FixedWidthInteger>(
        _ key: String, in range: ClosedRange<Number>
    ) -> Number {
        let text = text(key)
        if let number = Number(text), range.contains(number) { return number }
        if !text.isEmpty {
            problems.append(
                "\(key) is '\(text)', not a number from \(range.lowerBound) through "
                    + "\(range.upperBound)")
        }
        return range.lowerBound
    }

    mutating func names(_ key: String) -> Set<String>? {
        guard let text = optional(key) else { return nil }
        let names = (try? Value(parsing: Array(text.utf8)))?.array?.map(\.string)
        guard let names, !names.contains(nil) else {
            problems.append("\(key) is no JSON array of names")
            return nil
        }
        return Set(names.compactMap(\.self))
    }

    mutating func transport(_ key: String) -> Transport {
        let text = text(key)
        if let transport = Transport(rawValue: text) { return transport }
        if !text.isEmpty { problems.append("\(key) is '\(text)', neither 'zmq' nor 'nats'") }
        return .zmq
    }

    /// The first choice where the variable is absent.
    mutating func choice(_ key: String, of choices: [String]) -> String {
        guard let text = optional(key) else { return choices[0] }
        if !choices.contains(text) {
            let known = choices.map { "'\($0)'" }.joined(separator: " nor ")
            problems.append("\(key) is '\(text)', neither \(known)")
        }
        return text
    }

    mutating func topicProxies(_ key: String) -> [TopicProxyEndpoints] {
        guard let value = json(key) else { return [] }
        guard let elements = value.array else {
            problems.append("\(key) is no JSON array")
            return []
        }
        let proxies = elements.compactMap { TopicProxyEndpoints($0) }
        if proxies.count < elements.count {
            problems.append(
                "\(key) holds an entry without 'name', 'publish', 'subscribe' or 'prefixes'")
        }
        return proxies
    }

    mutating func pools(_ key: String) -> [PoolAccess] {
        guard let value = json(key) else { return [] }
        guard let elements = value.array else {
            problems.append("\(key) is no JSON array")
            return []
        }
        let pools = elements.compactMap { PoolAccess($0) }
        if pools.count < elements.count {
            problems.append(
                "\(key) holds an entry without 'name', 'path', 'wait_ms' or 'when_full'")
        }
        return pools
    }

    mutating func batching(_ key: String) -> Batching? {
        guard let value = json(key) else { return nil }
        let batching = Batching(value)
        if batching == nil {
            problems.append("\(key) lacks 'messages', 'bytes' or 'latency_us', or one is no number")
        }
        return batching
    }

    mutating func settings(_ key: String) -> Value {
        guard let value = json(key) else { return .object([:]) }
        if value.object == nil { problems.append("\(key) is no JSON object") }
        return value
    }

    private mutating func json(_ key: String) -> Value? {
        guard let text = optional(key) else { return nil }
        do throws(ParseError) {
            return try Value(parsing: text)
        } catch {
            problems.append("\(key) is \(error.description)")
            return nil
        }
    }
}
