public import JSON
public import Topologies
internal import Wire
public import YAML

/// Something that cannot move to NATS as it is, or is not the same there.
public struct MigrationFinding: Sendable {
    /// How grave it is.
    public enum Severity: String, Sendable {
        /// It stops the migration, or loses messages.
        case error
        /// It is different on the other side, and may matter.
        case warning
        /// Good to know.
        case note
    }

    /// What kind of thing it is.
    public enum Kind: String, Sendable, CaseIterable {
        case noNATSSide = "no_nats_side"
        case prefixCollision = "prefix_collision"
        case oversize
        case sideEffects = "side_effects"
        case slowConsumer = "slow_consumer"
        case sharedMemory = "shared_memory"
        case replyPattern = "reply_pattern"
        case restart
    }

    /// How grave it is.
    public let severity: Severity
    /// What kind of thing it is.
    public let kind: Kind
    /// The agent or topic that it is about.
    public let subject: String
    /// What is so.
    public let text: String
    /// What to do about it.
    public let remedy: String
    /// Where the file declares the agent.
    public let location: Location?

    /// As `--json` prints it.
    public var json: Value {
        var members: [String: Value] = [
            "severity": .string(severity.rawValue), "kind": .string(kind.rawValue),
            "subject": .string(subject), "text": .string(text), "remedy": .string(remedy),
        ]
        if let location {
            members["file"] = .string(location.source.name)
            members["line"] = Value(location.line)
        }
        return .object(members)
    }
}

/// What can be known about a migration before anything runs.
public enum Preflight {
    /// What a server keeps for one connection before it cuts it off as a slow consumer (`max_pending`).
    private static let pendingMax = 64 << 20
    /// A receiver may pause for so long and lose nothing.
    private static let pause = 1.0
    /// What an envelope has beside its content on NATS: its headers and their names.
    private static let overhead = 512

    /// Looks at a topology, and at a scenario's loads where there is one.
    ///
    /// - Parameters:
    ///   - topology: What is to be moved.
    ///   - scenario: What is to happen to it.
    /// - Returns: The findings, the gravest first.
    public static func findings(
        of topology: Topology, in scenario: Scenario? = nil
    ) -> [MigrationFinding] {
        let all =
            launches(topology) + collisions(topology) + sizes(topology, scenario)
            + effects(topology, scenario) + rates(topology, scenario) + memory(topology)
            + replies(topology)
        let order: [MigrationFinding.Severity] = [.error, .warning, .note]
        return order.flatMap { severity in all.filter { $0.severity == severity } }
    }

    private static func launches(_ topology: Topology) -> [MigrationFinding] {
        topology.agents.compactMap { agent in
            guard agent.launch(on: .nats) != nil else {
                return MigrationFinding(
                    severity: .error, kind: .noNATSSide, subject: agent.name,
                    text: "'\(agent.name)' has no NATS side: it cannot be started there",
                    remedy:
                        "say how: 'transports: { nats: { command: ... } }', which may be a sidecar",
                    location: agent.location)
            }
            guard !topology.canMoveLive(agent) else { return nil }
            return MigrationFinding(
                severity: .note, kind: .restart, subject: agent.name,
                text:
                    "'\(agent.name)' does not move while it goes on: it is drained and started again",
                remedy:
                    "plan for the window, or keep the full contract on branches of synmesh's own",
                location: agent.location)
        }
    }

    /// Topics that a subscription gets on ZeroMQ, where bytes are compared, and not on NATS, where tokens are.
    private static func collisions(_ topology: Topology) -> [MigrationFinding] {
        var findings: [MigrationFinding] = []
        for subscriber in topology.agents {
            for subscription in texts(subscriber, "subscribe") {
                let published = topology.agents.flatMap { publisher in
                    texts(publisher, "topics").map { (publisher, $0) }
                }
                for (publisher, topic) in published
                where topic.hasPrefix(subscription) && !Names.topic(topic, isUnder: subscription) {
                    let isOwn = subscriber.kind != nil
                    findings.append(
                        MigrationFinding(
                            severity: isOwn ? .warning : .error, kind: .prefixCollision,
                            subject: subscriber.name,
                            text: "'\(subscriber.name)' subscribes to '\(subscription)', and "
                                + "'\(publisher.name)' publishes to '\(topic)': a plain ZeroMQ "
                                + "subscription gets that too, one on NATS does not"
                                + (isOwn ? " (this agent drops it on both)" : ""),
                            remedy:
                                "subscribe to '\(topic)' as well, or rename one so that no name "
                                + "begins with another",
                            location: subscriber.location))
                }
            }
        }
        return findings
    }

    /// Names in a setting, by the words that the agents of this package and its SDKs use.
    private static func texts(_ agent: Agent, _ setting: String) -> [String] {
        (agent.settings[setting]?.array ?? []).compactMap(\.string)
    }

    private static func sizes(_ topology: Topology, _ scenario: Scenario?) -> [MigrationFinding] {
        topology.agents.compactMap { agent in
            guard let server = topology.server(of: agent) else { return nil }
            let bytes = size(of: agent, in: topology, scenario)
            guard bytes + overhead > server.maximumPayload, agent.settings["pool"] == nil else {
                return nil
            }
            let text =
                "'\(agent.name)' sends contents of \(bytes) bytes, and '\(server.name)' takes "
                + "\(server.maximumPayload) in one message"
            let remedy =
                "raise 'max_payload' (at most 67108864), give the agent a pool of shared memory, or "
                + "leave 'chunking' on"
            // A content in parts is one that a program of the seed's wire cannot put together.
            let isWhole =
                topology.isChunking(server.name)
                && topology.agents.allSatisfy { $0.wire == .frames }
            return MigrationFinding(
                severity: isWhole ? .note : .error, kind: .oversize, subject: agent.name,
                text: isWhole ? text + ": they go in several" : text, remedy: remedy,
                location: agent.location)
        }
    }

    /// The largest content that is known of before it is sent.
    private static func size(
        of agent: Agent, in topology: Topology, _ scenario: Scenario?
    ) -> Int {
        let loads = (scenario?.steps ?? []).flatMap(\.load).filter { load in
            topology.agents(referredToAs: load.agent).contains { $0.name == agent.name }
        }
        let sizes =
            loads.compactMap(\.size)
            + [agent.settings["size"]?.integer.map { Int($0) }].compactMap(\.self)
        // Three coordinates of four bytes are the least of a point.
        let points = agent.settings["scene"]?["points"]?.integer.map { Int($0) * 12 } ?? 0
        return max(sizes.max() ?? 0, points)
    }

    private static func effects(_ topology: Topology, _ scenario: Scenario?) -> [MigrationFinding] {
        let doubled = (scenario?.steps ?? []).filter {
            $0.action == .twin || $0.action == .dual
        }
        guard let step = doubled.first else { return [] }
        return topology.agents.filter { $0.sideEffects == .refuse }.map { agent in
            MigrationFinding(
                severity: .error, kind: .sideEffects, subject: agent.name,
                text: "'\(agent.name)' has side effects, and the step on line \(step.line) does "
                    + "everything twice",
                remedy: "put a double in its place for that step, or leave the parallel run out",
                location: agent.location)
        }
    }

    private static func rates(_ topology: Topology, _ scenario: Scenario?) -> [MigrationFinding] {
        var findings: [MigrationFinding] = []
        for load in (scenario?.steps ?? []).flatMap(\.load) {
            guard let rate = load.rate else { continue }
            for agent in topology.agents(referredToAs: load.agent) {
                let bytes = size(of: agent, in: topology, scenario) + overhead
                let flow = rate * Double(bytes) * pause
                guard flow > Double(pendingMax),
                    !findings.contains(where: { $0.subject == agent.name })
                else { continue }
                findings.append(
                    MigrationFinding(
                        severity: .warning, kind: .slowConsumer, subject: agent.name,
                        text:
                            "'\(agent.name)' sends \(Int(rate)) a second of \(bytes) bytes: a receiver "
                            + "that pauses for a second has more waiting than a server keeps "
                            + "(\(pendingMax) bytes), and is cut off",
                        remedy:
                            "lower the rate or the size, put large contents into shared memory, or "
                            + "raise the server's 'max_pending'",
                        location: agent.location))
            }
        }
        return findings
    }

    private static func memory(_ topology: Topology) -> [MigrationFinding] {
        topology.agents.filter { $0.settings["pool"] != nil }.map { agent in
            MigrationFinding(
                severity: .note, kind: .sharedMemory, subject: agent.name,
                text:
                    "'\(agent.name)' sends places in shared memory: on NATS, too, only receivers on the "
                    + "same host can read them",
                remedy: "where receivers are to be on other hosts, send the contents themselves",
                location: agent.location)
        }
    }

    private static func replies(_ topology: Topology) -> [MigrationFinding] {
        topology.agents.filter { !$0.speaks && !$0.answers.isEmpty }.map { agent in
            MigrationFinding(
                severity: .note, kind: .replyPattern, subject: agent.name,
                text:
                    "'\(agent.name)' answers to 'agent.<who asked>.<type>', not to a reply subject: "
                    + "requests of the NATS client libraries wait for one",
                remedy:
                    "ask by publishing to 'agent.\(agent.name).<type>' and hear the answer on the "
                    + "asker's own subject",
                location: agent.location)
        }
    }
}
