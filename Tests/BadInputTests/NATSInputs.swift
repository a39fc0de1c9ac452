import JSON
import Messaging
import NATS
import Routing
import TestSupport
import Testing
import Wire
import ZeroMQ

/// What anybody may publish on the subjects that agents, branches and topic proxies listen to.
@Suite("Bad input: NATS", .serialized, .timeLimit(.minutes(10)))
struct NATSInputs {
    @Test(
        "Whatever is published, the next good envelope reaches agents on both sides and the topic")
    func subjects() throws {
        let context = try Context()
        let server = try NATSServer()
        let branch = try ProxyThread.branch(
            BranchConfiguration(
                name: "core", nats: server.url,
                agents: [
                    .init(name: "z"), .init(name: "n", transport: .nats),
                    .init(name: "tapped", transport: .nats, wire: .json, keepsHistory: false),
                ]), in: context)
        let topics = try ProxyThread.topics(
            TopicConfiguration(name: "topics", nats: server.url, prefixes: ["t"]), in: context)
        let url = server.url
        let agent = try AgentThread("n", subscribedTo: ["t"]) {
            try NATSTransport(agent: "n", url: url)
        }
        let shadow = try AgentThread("n2") {
            try NATSTransport(agent: "n2", url: url, shadowRun: "run")
        }
        try eventually("attached agents") {
            [agent, shadow].allSatisfy { $0.state.isAttached || $0.state.failure != nil } ? () : nil
        }
        let receiver = try Stranger(
            .dealer, named: "z", at: branch.endpoints["router"], in: context)
        let hello = Corpus.envelope(
            .hello, from: "z", to: .agent(""), 0, Array(#"{"incarnation":1}"#.utf8))
        try receiver.send([[], hello.header, hello.content])
        let subscriber = try Stranger(.subscribe, at: topics.endpoints["subscribe"], in: context)
        try subscriber.socket.subscribe(to: Array("t".utf8))
        let connection = try Connection(to: url, options: ConnectionOptions(name: "stranger"))
        let subjects = [
            "agent.z.test", "agent.n.test", "agent.n2.test", "agent.tapped.test", "agent.n._kept",
            "agent.n._gap", "agent.z._gap", "t.a", "_seed.tapped.test", "_seed.z.test",
            "shadow.run.agent.n2.test", "shadow.run.agent.n.test", "agent.n.acknowledgement",
        ]
        try Plan(suite: "subjects", share: 8).play { round, name, inputs in
            for _ in 0..<Plan.roundSize {
                let subject = inputs.pick(subjects)
                try publish(Self.message(to: subject, &inputs), on: subject, by: connection)
            }
            for receiver in ["z", "n"] {
                let good = Corpus.good(round, to: .agent(receiver))
                try connection.publish(
                    Subject.of(good), headers: good.headers, content: good.content)
            }
            try eventually(name) {
                while let frames = try receiver.socket.receive() {
                    if envelope(in: frames)?.isGood(round) == true { return () }
                }
                return nil
            }
            try eventually(name) { try agent.has(round) && !shadow.hasEnded ? () : nil }
            let good = Corpus.good(round, to: .topic("t.good"))
            try eventually(name) {
                // The subscription of this subscriber took its way once; later ones are repeats.
                try connection.publish(
                    Subject.of(good), headers: good.headers, content: good.content)
                while let frames = try subscriber.socket.receive() {
                    if envelope(in: frames)?.isGood(round) == true { return () }
                }
                return nil
            }
        }
        for running in [agent, shadow] { running.stop() }
        let status = try branch.command("status")
        if Plan.only == nil {
            #expect(agent.state.malformed > 0)
            #expect((status["dead_letters"]?["malformed"]?.integer ?? 0) > 0)
        }
        #expect(branch.stop() == nil && topics.stop() == nil)
    }

    private typealias Message = (headers: [(name: String, value: String)], content: [UInt8])

    private static func message(to subject: String, _ inputs: inout Mutator) -> Message {
        let receiver = subject.split(separator: ".").dropFirst().first.map(String.init) ?? "n"
        let isTopic = subject.hasPrefix("t.")
        if inputs.number(below: 6) == 0 {
            return ([], inputs.mutate(Corpus.seed(from: "a", to: receiver)))
        }
        let envelope = inputs.pick(
            Corpus.envelopes(from: "a", to: isTopic ? .topic(subject) : .agent(receiver)))
        var headers = envelope.headers
        for _ in 0...inputs.number(below: 2) {
            let index = inputs.number(below: headers.count)
            switch inputs.number(below: 4) {
            case 0: headers.remove(at: index)
            case 1: headers.append((inputs.mutate(headers[index].name), headers[index].value))
            default: headers[index].value = inputs.mutate(headers[index].value)
            }
        }
        let content =
            inputs.number(below: 3) == 0 ? inputs.mutate(envelope.content) : envelope.content
        return (headers, content)
    }

    /// What the library itself refuses does not get as far as a receiver.
    private func publish(
        _ message: Message, on subject: String, by connection: Connection
    ) throws {
        let clean = message.headers.filter { header in
            !header.name.isEmpty
                && (header.name + header.value).utf8.allSatisfy { $0 != 10 && $0 != 13 && $0 != 0 }
        }
        _ = try? connection.publish(subject, headers: clean, content: message.content)
    }
}

extension AgentThread {
    var hasEnded: Bool { state.failure != nil }
}
