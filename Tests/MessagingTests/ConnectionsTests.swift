import Messaging
import Routing
import TestSupport
import Testing
import Wire
import ZeroMQ

@Suite("Shared connections") struct ConnectionsTests {
    private struct Senders {
        let mesh: TestMesh
        let context: Context
        let connections: Connections

        init(limits: Connections.Limits = Connections.Limits()) throws {
            mesh = try TestMesh(.zeroMQ)
            context = try Context()
            connections = Connections(in: context, limits: limits)
        }

        func sender(_ name: String) throws -> (client: AgentClient, transport: SendingTransport) {
            guard let branch = mesh.branch, let topics = mesh.topics else {
                throw TestFailure("no proxies")
            }
            let transport = SendingTransport(
                to: branch.endpoints["router"] ?? "",
                topicProxies: [
                    TopicProxyEndpoints(
                        name: "topics", publish: topics.endpoints["publish"] ?? "",
                        subscribe: topics.endpoints["subscribe"] ?? "", prefixes: [mesh.root])
                ], agent: name, incarnation: 1, clock: mesh.clock, over: connections)
            return (
                try AgentClient(
                    name: name, incarnation: 1, clock: mesh.clock, transport: transport), transport
            )
        }
    }

    @Test("Senders that rest between their messages share one connection, each under its own name")
    func shared() throws {
        let senders = try Senders()
        let b = try senders.mesh.agent("b")
        let all = try (0..<5).map { try senders.sender("gateway-\($0)") }
        for round in 1...3 {
            for sender in all {
                try sender.client.send(
                    to: b.client.name, type: "t", content: [UInt8(truncatingIfNeeded: round)])
                sender.transport.rest()
            }
        }
        let received = try b.client.receive(count: 15)
        #expect(received.count == 15)
        for number in 0..<5 {
            let own = received.filter { $0.source == "gateway-\(number)" }
            #expect(own.map(\.sequence) == [1, 2, 3])
            #expect(own.map(\.content) == [[1], [2], [3]])
        }
        let counters = senders.connections.counters
        #expect(counters.opened == 1)
        #expect(counters.reused == 14)
        #expect((counters.open, counters.leased) == (1, 0))
    }

    @Test("A topic's publisher is shared too, and is connected already when the next one takes it")
    func topics() throws {
        let senders = try Senders()
        let b = try senders.mesh.agent("b")
        let topic = "\(senders.mesh.root).t"
        try b.client.subscribe(to: topic)
        for number in 0..<3 {
            let sender = try senders.sender("gateway-\(number)")
            try sender.client.publish(topic: topic, type: "t", content: [])
            sender.client.close()
        }
        let sources = try b.client.receive(count: 3).map(\.source)
        #expect(Set(sources) == ["gateway-0", "gateway-1", "gateway-2"])
        #expect(senders.connections.counters.opened == 1)
        #expect(senders.connections.counters.reused == 2)
    }

    @Test("A connection has one owner: who does not rest makes the next one open another")
    func owners() throws {
        let senders = try Senders(limits: Connections.Limits(open: 2))
        let b = try senders.mesh.agent("b")
        let all = try (0..<3).map { try senders.sender("gateway-\($0)") }
        try all[0].client.send(to: b.client.name, type: "t", content: [])
        try all[1].client.send(to: b.client.name, type: "t", content: [])
        #expect(senders.connections.counters.opened == 2)
        let refusal = #expect(throws: MessagingError.self) {
            try all[2].client.send(to: b.client.name, type: "t", content: [])
        }
        #expect(refusal?.reason == .tooManyConnections(2))
        #expect(senders.connections.counters.refused == 1)
        all[0].transport.rest()
        try all[2].client.send(to: b.client.name, type: "t", content: [])
        #expect(senders.connections.counters.opened == 2)
        #expect(try b.client.receive(count: 3).count == 3)
    }

    @Test("Where as many are open as may be, the one that was needed longest ago is closed")
    func eviction() throws {
        let (one, other) = (try Senders(limits: Connections.Limits(open: 1)), try TestMesh(.zeroMQ))
        let b = try one.mesh.agent("b")
        let c = try other.agent("c")
        let here = try one.sender("gateway")
        try here.client.send(to: b.client.name, type: "t", content: [])
        here.transport.rest()
        let there = SendingTransport(
            to: other.branch?.endpoints["router"] ?? "", agent: "gateway", incarnation: 1,
            clock: other.clock, over: one.connections)
        let client = try AgentClient(
            name: "gateway", incarnation: 1, clock: other.clock, transport: there)
        try client.send(to: c.client.name, type: "t", content: [])
        let counters = one.connections.counters
        #expect((counters.opened, counters.evicted, counters.open) == (2, 1, 1))
        // What was given to the closed one still arrived.
        #expect(try b.client.receive(count: 1).count == 1)
        #expect(try c.client.receive(count: 1).count == 1)
    }

    @Test("What nobody needed for long is closed; what is leased is not")
    func idle() throws {
        let senders = try Senders(limits: Connections.Limits(idle: .zero))
        let b = try senders.mesh.agent("b")
        let sender = try senders.sender("gateway")
        try sender.client.send(to: b.client.name, type: "t", content: [])
        senders.connections.closeIdle()
        #expect(senders.connections.counters.open == 1)
        sender.transport.rest()
        senders.connections.closeIdle()
        #expect(senders.connections.counters.open == 0)
        #expect(senders.connections.counters.expired == 1)
        #expect(try b.client.receive(count: 1).count == 1)
    }

    @Test("Who only sends can say that everything has left, and cannot subscribe")
    func sendsOnly() throws {
        let senders = try Senders()
        let b = try senders.mesh.agent("b")
        let sender = try senders.sender("gateway")
        try sender.client.send(to: b.client.name, type: "t", content: [])
        try sender.transport.beginOutboundDrain()
        while !sender.transport.isOutboundDrained {
            var items = sender.transport.inboundItems()
            #expect(try poll(&items, timeout: .seconds(10)) > 0)
            _ = try sender.transport.receive()
        }
        let refusal = #expect(throws: MessagingError.self) {
            try sender.client.subscribe(to: "t")
        }
        #expect(refusal?.reason == .sendsOnly)
        #expect(try b.client.receive(count: 1).count == 1)
    }
}
