import Messaging
import Recording
import TestSupport
import Testing
import Wire

@Suite("Dual runs") struct ShadowTests {
    private static let single: [MeshKind] = [.inProcess, .zeroMQ, .nats, .bridged]

    private func shadowNumbers(_ agent: TestAgent, _ direction: Direction) -> [UInt64] {
        agent.recorder.envelopes(direction, .shadow).map(\.sequence)
    }

    @Test(
        "The second lane comes and goes while the agents work, and loses nothing",
        arguments: single)
    func phases(kind: MeshKind) throws {
        let mesh = try TestMesh(kind)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        let topic = mesh.root + ".t"
        try b.client.subscribe(to: topic)
        func exchange(_ count: Int) throws {
            for _ in 0..<count {
                try a.client.send(to: b.client.name, type: "x", content: [1])
                try a.client.publish(topic: topic, type: "x", content: [2])
            }
            #expect(try b.client.receive(count: 2 * count).count == 2 * count)
        }
        try exchange(5)
        for agent in [a, b] {
            try agent.client.listenShadow(url: mesh.natsURL, run: mesh.run)
        }
        try exchange(5)
        #expect(shadowNumbers(a, .sent) == [])
        for agent in [a, b] { try agent.client.sendShadow() }
        try exchange(5)
        for agent in [a, b] { try agent.client.quietShadow() }
        try exchange(5)
        for agent in [b, a] { try agent.client.closeShadow() }
        #expect(!a.client.hasShadow)
        try exchange(5)
        // Exactly what was sent in the third phase is recorded on the second lane, at both ends.
        let expected = (11...15).flatMap { [UInt64($0), UInt64($0)] }
        #expect(shadowNumbers(a, .sent) == expected)
        #expect(shadowNumbers(b, .delivered).sorted() == expected)
        let sent = a.recorder.envelopes(.sent, .shadow).sorted { $0.identity < $1.identity }
        let came = b.recorder.envelopes(.delivered, .shadow).sorted { $0.identity < $1.identity }
        #expect(sent == came)
        #expect(b.client.counters.shadowDelivered == 10)
        #expect(a.client.counters.shadowSent == 10)
        #expect(b.client.counters.repeats == 0)
        #expect(b.recorder.envelopes(.delivered).count == 50)
    }

    @Test("Shadow copies are recorded as they come: a planted fault is seen there, and only there")
    func plantedOnShadow() throws {
        let mesh = try TestMesh(.zeroMQ)
        func shadows(_ defects: Defects) throws -> (primary: [[UInt8]], shadow: [UInt64], [[UInt8]])
        {
            let mesh = try TestMesh(.dual)
            let a = try mesh.agent("a", defects: defects)
            let b = try mesh.agent("b")
            for index in 1...5 {
                try a.client.send(to: b.client.name, type: "x", content: [UInt8(index)])
            }
            let primary = try b.client.receive(count: 5).map(\.content)
            try a.client.closeShadow()
            try b.client.closeShadow()
            let shadow = b.recorder.envelopes(.delivered, .shadow)
            return (primary, shadow.map(\.sequence), shadow.map(\.content))
        }
        _ = mesh
        let whole: [[UInt8]] = [[1], [2], [3], [4], [5]]
        let lost = try shadows(Defects(lose: 2, lane: .shadow))
        #expect(lost.primary == whole)
        #expect(lost.shadow == [1, 3, 5])
        let repeated = try shadows(Defects(repeat: 2, lane: .shadow))
        #expect(repeated.primary == whole)
        #expect(repeated.shadow == [1, 2, 2, 3, 4, 4, 5])
        let swapped = try shadows(Defects(swap: 2, lane: .shadow))
        #expect(swapped.primary == whole)
        #expect(swapped.shadow == [1, 3, 2, 5, 4])
        let altered = try shadows(Defects(alter: 5, lane: .shadow))
        #expect(altered.primary == whole)
        #expect(altered.2.dropLast() == whole.dropLast())
        #expect(altered.2.last != [5])
    }

    @Test("What the second lane cannot carry is told, and harms nothing")
    func oversizeOnShadow() throws {
        let mesh = try TestMesh(.dual)
        mesh.isChunking = false
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        let content = [UInt8](repeating: 1, count: 2_000_000)
        try a.client.send(to: b.client.name, type: "cloud", content: content)
        #expect(try b.client.receive(timeout: .seconds(10))?.content == content)
        #expect(a.client.counters.shadowFailed == 1)
        #expect(shadowNumbers(a, .sent) == [])
        #expect(
            a.recorder.annotations.contains {
                if case .note(let text, _) = $0 { text.contains("max_payload") } else { false }
            })
    }

    @Test("A server that dies takes only the second lane with it")
    func serverDies() throws {
        let server = try NATSServer()
        let mesh = try TestMesh(.zeroMQ)
        let (a, b) = (try mesh.agent("a"), try mesh.agent("b"))
        for agent in [a, b] {
            try agent.client.listenShadow(url: server.url, run: mesh.run)
            try agent.client.sendShadow()
        }
        try a.client.send(to: b.client.name, type: "x", content: [1])
        #expect(try b.client.receive(timeout: .seconds(10))?.content == [1])
        server.stop()
        for index in 2...20 {
            try a.client.send(to: b.client.name, type: "x", content: [UInt8(index)])
        }
        #expect(try b.client.receive(count: 19).map(\.sequence) == Array(2...20))
        let counters = a.client.counters
        #expect(counters.shadowSent + counters.shadowFailed == 20)
        try a.client.closeShadow()
        try b.client.closeShadow()
        try a.client.send(to: b.client.name, type: "x", content: [21])
        #expect(try b.client.receive(timeout: .seconds(10))?.content == [21])
    }

    @Test("Without a second lane there is nothing to send or to quiet")
    func noShadow() throws {
        let a = try TestMesh(.inProcess).agent("a")
        #expect(throws: MessagingError.self) { try a.client.sendShadow() }
        #expect(throws: MessagingError.self) { try a.client.quietShadow() }
        try a.client.closeShadow()
    }
}
