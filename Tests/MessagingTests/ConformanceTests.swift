import Messaging
import Recording
import Testing
import Wire

/// What holds for an agent whatever carries its envelopes; every transport passes all of it.
@Suite("Conformance") struct ConformanceTests {
    @Test(
        "Envelopes of a flow arrive once, in order, numbered from 1", arguments: MeshKind.allCases)
    func order(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        for index in 0..<500 {
            try a.client.send(
                to: b.client.name, type: "count", content: Array(String(index).utf8),
                encoding: .json)
        }
        let received = try b.client.receive(count: 500)
        #expect(received.map(\.sequence) == Array(1...500))
        #expect(received.map(\.content) == (0..<500).map { Array(String($0).utf8) })
        #expect(received.allSatisfy { $0.source == a.client.name && $0.contentEncoding == .json })
        #expect(received.allSatisfy { $0.incarnation == 1 && $0.type == "count" })
        #expect(b.client.counters.repeats == 0)
        #expect(b.client.counters.gaps == 0)
        #expect(a.client.counters.sent == [.agent(b.client.name): 500])
        #expect(Array(b.client.counters.delivered.values) == [500])
    }

    @Test("What is recorded is what was sent and handed out", arguments: MeshKind.allCases)
    func recorded(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        let cause = try a.client.send(to: b.client.name, type: "one", content: [1])
        try a.client.send(to: b.client.name, type: "two", content: [2], cause: cause)
        let first = try #require(try b.client.receive(timeout: .seconds(10)))
        // The second may have come, but is not delivered until it is handed out.
        #expect(b.recorder.envelopes(.delivered).map(\.identity) == [first.identity])
        let second = try #require(try b.client.receive(timeout: .seconds(10)))
        #expect(second.cause == cause)
        let sent = a.recorder.envelopes(.sent)
        #expect(sent.map(\.identity) == [first.identity, second.identity])
        #expect(sent.map(\.content) == [[1], [2]])
        // The recorder writes causes down by itself.
        #expect(sent.map(\.cause) == [nil, cause])
        let transports = Set(a.recorder.entries.filter { $0.lane == .primary }.map(\.transport))
        #expect(transports == [a.client.transportName])
    }

    @Test(
        "Content arrives byte for byte", arguments: MeshKind.allCases,
        [0, 1, 2, 255, 256, 4_095, 65_536, 1_000_000, 1_040_000])
    func bytes(kind: MeshKind, size: Int) throws {
        let mesh = try TestMesh(kind)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        let content = pattern(size)
        try a.client.send(to: b.client.name, type: "cloud", content: content)
        #expect(try b.client.receive(timeout: .seconds(10))?.content == content)
    }

    @Test(
        "more than 20 MB arrive, in as many messages as it takes",
        arguments: MeshKind.allCases)
    func large(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        // A prime length: no two chunks begin at the same place of it.
        let piece = (0..<99_991).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 7) }
        var content: [UInt8] = []
        while content.count < 20_000_000 { content += piece }
        try a.client.send(to: b.client.name, type: "cloud", content: content)
        // Compared before it is expected: a failure is not to print all of it.
        let isWhole = try b.client.receive(timeout: .seconds(20))?.content == content
        #expect(isWhole)
        let next = try a.client.send(to: b.client.name, type: "after", content: [1])
        #expect(next.sequence == 2)
        #expect(try b.client.receive(timeout: .seconds(10))?.identity == next)
    }

    @Test("without chunks 20 MB are refused with the remedy and without a trace")
    func largeWithoutChunks() throws {
        let mesh = try TestMesh(.nats)
        mesh.isChunking = false
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        let content = [UInt8](repeating: 0xA5, count: 20_000_000)
        let error = #expect(throws: MessagingError.self) {
            try a.client.send(to: b.client.name, type: "cloud", content: content)
        }
        #expect(error?.description.contains("max_payload") == true)
        #expect(error?.remedy?.contains("shared memory") == true)
        #expect(error?.remedy?.contains("chunks") == true)
        #expect(a.recorder.entries.isEmpty)
        // The next one takes the next position: a refusal uses none.
        let next = try a.client.send(to: b.client.name, type: "after", content: [1])
        #expect(next.sequence == 1)
        #expect(try b.client.receive(timeout: .seconds(10))?.identity == next)
    }

    @Test(
        "A request gets its answer; what came before stays in order", arguments: MeshKind.allCases)
    func request(kind: MeshKind) async throws {
        let mesh = try TestMesh(kind)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        try b.client.send(to: a.client.name, type: "early", content: [1])
        try b.client.send(to: a.client.name, type: "early", content: [2])
        // The answer is sent before the question is asked: both clients are on this thread, and
        // the first position of the question's flow is known.
        let question = Identity(
            flow: Flow(source: a.client.name, destination: .agent(b.client.name)), incarnation: 1,
            sequence: 1)
        try b.client.send(to: a.client.name, type: "answer", content: [3], cause: question)
        try b.client.send(to: a.client.name, type: "later", content: [4])
        let answer = try a.client.request(
            to: b.client.name, type: "question", content: [0], timeout: .seconds(10))
        #expect(answer.content == [3])
        let rest = try a.client.receive(count: 3)
        #expect(rest.map(\.content) == [[1], [2], [4]])
        #expect(a.recorder.envelopes(.delivered).map(\.sequence) == [1, 2, 3, 4])
        #expect(try b.client.receive(timeout: .seconds(10))?.identity == question)
    }

    @Test("A request without an answer ends in time", arguments: MeshKind.allCases)
    func requestTimeout(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        let error = #expect(throws: MessagingError.self) {
            try a.client.request(
                to: b.client.name, type: "question", content: [], timeout: .milliseconds(30))
        }
        #expect(error?.reason == .timeout(.milliseconds(30)))
    }

    @Test("Subscriptions match whole tokens", arguments: MeshKind.allCases)
    func tokens(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        let tot = mesh.root + ".tot"
        try b.client.subscribe(to: tot + ".a")
        let topics = [".a", ".a.b", ".ab", ".b", "", ".a.b.c"]
        for topic in topics {
            try a.client.publish(topic: tot + topic, type: "x", content: Array(topic.utf8))
        }
        let received = try b.client.receive(count: 3)
        // Of different flows, so in any order.
        let names = received.map(\.destination.name).sorted()
        #expect(names == [".a", ".a.b", ".a.b.c"].map { tot + $0 })
        #expect(received.allSatisfy { $0.destination == .topic($0.destination.name) })
        #expect(received.map(\.sequence) == [1, 1, 1])
        #expect(try b.client.isQuiet(after: a.client))
    }

    @Test(
        "Overlapping subscriptions receive once, also after one of them ends",
        arguments: MeshKind.allCases)
    func overlapping(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        let topic = mesh.root + ".t.u"
        try b.client.subscribe(to: mesh.root + ".t")
        try b.client.subscribe(to: topic)
        try a.client.publish(topic: topic, type: "x", content: [1])
        #expect(try b.client.receive(timeout: .seconds(10))?.content == [1])
        try b.client.unsubscribe(from: mesh.root + ".t")
        try a.client.publish(topic: topic, type: "x", content: [2])
        #expect(try b.client.receive(timeout: .seconds(10))?.content == [2])
        #expect(try b.client.isQuiet(after: a.client))
        #expect(b.client.counters.repeats == 0)
    }

    @Test(
        "A confirmed subscription misses nothing, a late one gets only what is later",
        arguments: MeshKind.allCases)
    func lateSubscriber(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let (a, b, c) = (try mesh.agent("a"), try mesh.agent("b"), try mesh.agent("c"))
        let topic = mesh.root + ".t"
        try b.client.subscribe(to: topic)
        for index in 1...100 {
            try a.client.publish(topic: topic, type: "x", content: [UInt8(index)])
        }
        // Until all of it has passed the mesh.
        #expect(try b.client.receive(count: 100).map(\.sequence) == Array(1...100))
        try c.client.subscribe(to: topic)
        for index in 101...200 {
            try a.client.publish(topic: topic, type: "x", content: [UInt8(index)])
        }
        #expect(try b.client.receive(count: 100).map(\.sequence) == Array(101...200))
        #expect(try c.client.receive(count: 100).map(\.sequence) == Array(101...200))
        #expect(c.client.counters.gaps == 0)
        let annotation = try #require(c.recorder.annotations.first)
        guard case .subscribed(let agent, let subscribed, let at) = annotation else {
            Issue.record("not annotated: \(annotation)")
            return
        }
        #expect(agent == c.client.name)
        #expect(subscribed == topic)
        let sent = a.recorder.envelopes(.sent)
        #expect(sent[99].sent <= at)
        #expect(at <= sent[100].sent)
    }

    @Test(
        "After unsubscribing nothing comes, and a new subscription sees no gap",
        arguments: MeshKind.allCases)
    func unsubscribe(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let (a, b, c) = (try mesh.agent("a"), try mesh.agent("b"), try mesh.agent("c"))
        let topic = mesh.root + ".t"
        try b.client.subscribe(to: topic)
        try c.client.subscribe(to: topic)
        try a.client.publish(topic: topic, type: "x", content: [1])
        #expect(try b.client.receive(timeout: .seconds(10))?.content == [1])
        try b.client.unsubscribe(from: topic)
        try a.client.publish(topic: topic, type: "x", content: [2])
        #expect(try c.client.receive(count: 2).map(\.content) == [[1], [2]])
        #expect(try b.client.isQuiet(after: a.client))
        try b.client.subscribe(to: topic)
        try a.client.publish(topic: topic, type: "x", content: [3])
        let next = try #require(try b.client.receive(timeout: .seconds(10)))
        #expect(next.content == [3])
        #expect(b.client.counters.gaps == 0)
        let kinds = b.recorder.annotations.compactMap { annotation in
            switch annotation {
            case .subscribed: "subscribed"
            case .unsubscribed: "unsubscribed"
            default: nil
            }
        }
        #expect(kinds == ["subscribed", "unsubscribed", "subscribed"])
    }

    @Test(
        "What was on its way when a subscription ended is still handed out",
        arguments: [MeshKind.inProcess, .zeroMQ, .nats, .dual])
    func unsubscribeWithPending(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let (a, b, c) = (try mesh.agent("a"), try mesh.agent("b"), try mesh.agent("c"))
        let topic = mesh.root + ".t"
        try b.client.subscribe(to: topic)
        try c.client.subscribe(to: topic)
        for _ in 0..<500 { try a.client.publish(topic: topic, type: "x", content: [1]) }
        #expect(try c.client.receive(count: 500).count == 500)
        try b.client.unsubscribe(from: topic)
        try a.client.publish(topic: topic, type: "x", content: [2])
        #expect(try b.client.receive(count: 500).map(\.sequence) == Array(1...500))
        #expect(try b.client.isQuiet(after: a.client))
        #expect(b.client.counters.gaps == 0)
    }

    @Test("Nothing in time is nil", arguments: MeshKind.allCases)
    func silence(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let a = try mesh.agent("a")
        #expect(try a.client.receive(timeout: .milliseconds(5)) == nil)
        #expect(try a.client.receive(timeout: .zero) == nil)
    }

    @Test("An unknown destination harms nobody", arguments: MeshKind.allCases)
    func unknownDestination(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        try a.client.send(to: mesh.name("nobody"), type: "x", content: [1])
        try a.client.send(to: b.client.name, type: "x", content: [2])
        #expect(try b.client.receive(timeout: .seconds(10))?.content == [2])
    }

    @Test("An agent can write to itself", arguments: MeshKind.allCases)
    func toItself(kind: MeshKind) throws {
        let a = try TestMesh(kind).agent("a")
        try a.client.send(to: a.client.name, type: "x", content: [1])
        #expect(try a.client.receive(timeout: .seconds(10))?.content == [1])
    }

    @Test("Illegal names are refused before anything is recorded", arguments: MeshKind.allCases)
    func illegalNames(kind: MeshKind) throws {
        let a = try TestMesh(kind).agent("a")
        for name in ["", "a.b", "a b", ">", "*", String(repeating: "x", count: 65)] {
            #expect(throws: MessagingError.self) {
                try a.client.send(to: name, type: "x", content: [])
            }
            #expect(throws: MessagingError.self) {
                try a.client.send(to: "b", type: name, content: [])
            }
        }
        for topic in ["", "a..b", "agent.b", "shadow.x", "t.>", "t.*"] {
            #expect(throws: MessagingError.self) {
                try a.client.publish(topic: topic, type: "x", content: [])
            }
            #expect(throws: MessagingError.self) { try a.client.subscribe(to: topic) }
        }
        #expect(a.recorder.entries.isEmpty)
        // What is in no count is on record all the same.
        let isAllRefused = a.recorder.annotations.allSatisfy {
            if case .refused = $0 { true } else { false }
        }
        #expect(isAllRefused)
        #expect(a.recorder.annotations.count == 18)
    }
}
