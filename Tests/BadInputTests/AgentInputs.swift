import JSON
import Recording
import Routing
import Synchronization
import TestSupport
import Testing
import Threads
import Wire
import ZeroMQ

@testable import Messaging

/// An agent on a thread of its own; what it was handed, and what it could not read.
final class AgentThread: Sendable {
    struct Seen: Sendable {
        var good: Set<Int> = []
        var malformed = 0
        var isAttached = false
        var failure: String?
    }

    private let seen = Mutex(Seen())
    private let isStopped = Atomic(false)
    private let thread = Mutex<DedicatedThread?>(nil)

    init(
        _ name: String, subscribedTo topics: [String] = [], publishing: Bool = false,
        _ transport: @escaping @Sendable () throws -> any AgentTransport
    ) throws {
        let started = try DedicatedThread(named: "agent") { [self] in
            do {
                try run(name, topics, publishing, transport())
            } catch {
                seen.withLock { $0.failure = "\(error)" }
            }
        }
        thread.withLock { $0 = started }
    }

    private func run(
        _ name: String, _ topics: [String], _ isPublishing: Bool, _ transport: any AgentTransport
    ) throws {
        var options = AgentClient.Options()
        options.sendTimeout = .milliseconds(1)
        let client = try AgentClient(
            name: name, incarnation: 1, clock: .starting(), transport: transport,
            recorder: Recorder(), options: options)
        for topic in topics { try client.subscribe(to: topic) }
        seen.withLock { $0.isAttached = true }
        while !isStopped.load(ordering: .acquiring) {
            let envelope = try client.receive(timeout: .milliseconds(20))
            let malformed = client.counts.malformed
            seen.withLock { $0.malformed = Int(malformed) }
            guard let envelope, envelope.type == "good",
                let number = Int(String(decoding: envelope.content, as: UTF8.self)),
                envelope.isGood(number)
            else { continue }
            // A publisher hears what its proxy says when it sends.
            if isPublishing {
                _ = try? client.publish(topic: "t.b", type: "heard", content: [])
            }
            seen.withLock { _ = $0.good.insert(number) }
        }
        client.close()
    }

    /// Keeps nothing.
    private final class Recorder: MessageRecorder {
        func record(
            _: Envelope, _: Direction, transport: String, lane: Lane
        ) throws(HistoryError) {}
        func annotate(_: Annotation) throws(HistoryError) {}
    }

    var state: Seen { seen.withLock { $0 } }

    /// Whether it was handed the good one; an agent that ended is a failure at once.
    func has(_ round: Int) throws -> Bool {
        let state = state
        if let failure = state.failure { throw TestFailure("the agent ended: \(failure)") }
        return state.good.contains(round)
    }

    func stop() {
        isStopped.store(true, ordering: .releasing)
        let running = thread.withLock { $0 }
        running?.join()
    }
}

/// What wrong proxies may send to an agent.
@Suite("Bad input: agents", .serialized, .timeLimit(.minutes(10)))
struct AgentInputs {
    /// A proxy that says what it likes: a ROUTER, and both sides of topics.
    private final class Proxies {
        var router: Socket
        var publish: Socket
        var subscribe: Socket
        /// What came from the agent.
        var heard: [[[UInt8]]] = []

        init(in context: Context) throws {
            var options = SocketOptions(linger: .zero, routerMandatory: true)
            options.xpubVerbose = true
            router = try Socket(.router, in: context, options: options)
            publish = try Socket(.xsub, in: context, options: options)
            subscribe = try Socket(.xpub, in: context, options: options)
            try router.bind(to: "tcp://127.0.0.1:*")
            try publish.bind(to: "tcp://127.0.0.1:*")
            try subscribe.bind(to: "tcp://127.0.0.1:*")
            _ = try publish.send([[1]])
        }

        var topics: TopicProxyEndpoints {
            TopicProxyEndpoints(
                name: "topics", publish: publish.lastEndpoint, subscribe: subscribe.lastEndpoint,
                prefixes: ["t"])
        }

        /// Takes what came; a hello is answered, and what somebody says to itself comes back.
        func serve() throws {
            while let frames = try router.receive() {
                if let envelope = envelope(in: frames), envelope.kind == .hello {
                    let answer = Corpus.envelope(
                        .hello, from: "_branch.core", to: .agent("a"), 0,
                        Array(#"{"branch":"core","incarnation":1,"registered":true}"#.utf8))
                    _ = try router.send([frames[0], answer.header, answer.content])
                } else if frames.count == 2, let seed = try? SeedMessage(parsing: frames[1]),
                    seed.from == seed.to
                {
                    _ = try router.send(frames)
                }
            }
            while try publish.receive() != nil {}
            while let frame = try subscribe.receive()?.first {
                guard frame.dropFirst().starts(with: Array("_confirm.".utf8)) else { continue }
                let answer = Corpus.envelope(
                    .hello, from: "topics", to: .topic("t"), 0, type: "confirm", [])
                _ = try subscribe.send([Array(frame.dropFirst()), answer.header, []])
            }
        }

        func send(_ frames: [[UInt8]], to agent: String, _ name: Comment) throws {
            try eventually(name) {
                try serve()
                return try router.send([Array(agent.utf8)] + frames) == .sent ? () : nil
            }
        }
    }

    @Test("An agent of a wrong branch and a wrong topic proxy counts, and hears the next good one")
    func zeroMQ() throws {
        let context = try Context()
        let proxies = try Proxies(in: context)
        let (branch, topics) = (proxies.router.lastEndpoint, proxies.topics)
        let agent = try AgentThread("a", subscribedTo: ["t"], publishing: true) {
            try ZeroMQTransport(
                .init(agent: "a", incarnation: 1, branch: branch, topicProxies: [topics]),
                clock: .starting(), in: context)
        }
        try eventually("an attached agent") {
            try proxies.serve()
            return agent.state.isAttached || agent.state.failure != nil ? () : nil
        }
        // More is missing than any number counts.
        for source in ["one", "two", "three"] {
            let gap = Corpus.envelope(
                .gap, from: source, to: .agent("a"), 1, type: "gap", Corpus.largestGap)
            try proxies.send([gap.header, gap.content], to: "a", "a gap")
        }
        let direct = Corpus.envelopes(from: "b", to: .agent("a")).map { [$0.header, $0.content] }
        var published: [[[UInt8]]] = []
        for envelope in Corpus.envelopes(from: "b", to: .topic("t.a")) {
            for topic in ["t.a", "_confirm.a.1-1", "_confirm.a.1-9", "_marker.a"] {
                published.append([Array(topic.utf8), envelope.header, envelope.content])
            }
        }
        let asked = ["\u{1}t.a", "\u{0}t.a", "\u{1}", "\u{0}"].map { [Array($0.utf8)] }
        try Plan(suite: "agents on ZeroMQ", share: 8).play { round, name, inputs in
            for _ in 0..<Plan.roundSize {
                switch inputs.number(below: 4) {
                case 0: _ = try proxies.subscribe.send(inputs.mutate(inputs.pick(published)))
                case 1: _ = try? proxies.publish.send(inputs.mutate(inputs.pick(asked)))
                default: try proxies.send(inputs.mutate(inputs.pick(direct)), to: "a", name)
                }
            }
            _ = try proxies.publish.send([[1]])
            let good = Corpus.good(round, to: .agent("a"))
            try proxies.send([good.header, good.content], to: "a", name)
            try eventually(name) {
                try proxies.serve()
                return try agent.has(round) ? () : nil
            }
        }
        agent.stop()
        #expect(Plan.only != nil || agent.state.malformed > 0)
    }

    @Test("An agent behind a proxy of the user's own does, too")
    func seedWire() throws {
        let context = try Context()
        let proxies = try Proxies(in: context)
        let branch = proxies.router.lastEndpoint
        let agent = try AgentThread("a") {
            try SeedTransport(
                .init(agent: "a", incarnation: 1, branch: branch), clock: .starting(),
                in: context)
        }
        try eventually("an attached agent") {
            try proxies.serve()
            return agent.state.isAttached || agent.state.failure != nil ? () : nil
        }
        let corpus = Corpus.seedFrames(from: "b", to: "a").map { [$0] }
        try Plan(suite: "agents on the seed's wire", share: 4).play { round, name, inputs in
            for _ in 0..<Plan.roundSize {
                try proxies.send(inputs.mutate(inputs.pick(corpus)), to: "a", name)
            }
            let good = Corpus.good(round, to: .agent("a"))
            try proxies.send([SeedFrame.bytes(of: good)], to: "a", name)
            try eventually(name) {
                try proxies.serve()
                return try agent.has(round) ? () : nil
            }
        }
        agent.stop()
        #expect(Plan.only != nil || agent.state.malformed > 0)
    }
}
