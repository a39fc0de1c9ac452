import Testing
import ZeroMQ

private let shortly = Duration.seconds(5)

/// Waits until something can be received, bounded.
private func awaitFrames(_ socket: inout Socket) throws -> [[UInt8]]? {
    var items = [socket.pollItem()]
    guard try poll(&items, timeout: shortly) > 0 else { return nil }
    return try socket.receive()
}

private func boundRouter(in context: Context) throws -> Socket {
    var router = try Socket(
        .router, in: context,
        options: SocketOptions(routerMandatory: true, routerHandover: true))
    try router.bind(to: "tcp://127.0.0.1:*")
    return router
}

@Suite("ZeroMQ") struct ZeroMQTests {
    @Test("A port that the system chose is read back")
    func endpointReadBack() throws {
        let context = try Context()
        let endpoint = try boundRouter(in: context).lastEndpoint
        #expect(endpoint.hasPrefix("tcp://127.0.0.1:"))
        #expect(!endpoint.hasSuffix("*"))
    }

    @Test("Frames arrive together and unchanged", arguments: [0, 1, 255, 256, 65_536, 20_000_000])
    func framesArriveUnchanged(size: Int) throws {
        let context = try Context()
        var router = try boundRouter(in: context)
        let endpoint = router.lastEndpoint
        var dealer = try Socket(.dealer, in: context, options: SocketOptions(routingID: "one"))
        try dealer.connect(to: endpoint)
        let content = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        #expect(try dealer.send([Array("to".utf8), [], content]) == .sent)
        #expect(try awaitFrames(&router) == [Array("one".utf8), Array("to".utf8), [], content])
        #expect(try router.send([Array("one".utf8), content]) == .sent)
        #expect(try awaitFrames(&dealer) == [content])
    }

    @Test("Nothing to receive is nil, at once")
    func silenceIsNil() throws {
        let context = try Context()
        var router = try boundRouter(in: context)
        #expect(try router.receive() == nil)
        var items = [router.pollItem()]
        #expect(try poll(&items, timeout: .zero) == 0)
        #expect(!items[0].isReadable)
    }

    @Test("A mandatory router says that a peer is unknown")
    func unknownPeerIsUnreachable() throws {
        let context = try Context()
        var router = try boundRouter(in: context)
        #expect(try router.send([Array("nobody".utf8), [1]]) == .unreachable)
    }

    @Test("A full peer answers wouldBlock, and what was accepted arrives whole and in order")
    func fullPeerWouldBlock() throws {
        let context = try Context()
        var push = try Socket(
            .push, in: context, options: SocketOptions(sendHighWaterMark: 10))
        try push.bind(to: "inproc://full")
        var pull = try Socket(
            .pull, in: context, options: SocketOptions(receiveHighWaterMark: 10))
        try pull.connect(to: "inproc://full")
        var sent = 0
        while try push.send([[UInt8(sent)], [0, 0]]) == .sent { sent += 1 }
        #expect((1...200).contains(sent))
        for index in 0..<sent {
            #expect(try awaitFrames(&pull) == [[UInt8(index)], [0, 0]])
        }
        #expect(try pull.receive() == nil)
        var items = [push.pollItem(.writable)]
        #expect(try poll(&items, timeout: shortly) == 1)
        #expect(items[0].isWritable)
        #expect(try push.send([[1]]) == .sent)
    }

    @Test("A send that may wait gives up after its timeout")
    func waitIsBounded() throws {
        let context = try Context()
        var options = SocketOptions()
        options.sendTimeout = .milliseconds(20)
        var push = try Socket(.push, in: context, options: options)
        try push.bind(to: "inproc://nobody")
        #expect(try push.send([[1]], wait: true) == .wouldBlock)
    }

    @Test("A second peer of the same name takes over")
    func handover() throws {
        let context = try Context()
        var router = try boundRouter(in: context)
        let endpoint = router.lastEndpoint
        var first = try Socket(.dealer, in: context, options: SocketOptions(routingID: "same"))
        try first.connect(to: endpoint)
        _ = try first.send([[1]])
        #expect(try awaitFrames(&router)?.last == [1])
        var second = try Socket(.dealer, in: context, options: SocketOptions(routingID: "same"))
        try second.connect(to: endpoint)
        _ = try second.send([[2]])
        #expect(try awaitFrames(&router)?.last == [2])
        #expect(try router.send([Array("same".utf8), [3]]) == .sent)
        #expect(try awaitFrames(&second) == [[3]])
        #expect(try first.receive() == nil)
    }

    @Test("An XPUB hears subscriptions, and publishes by prefix")
    func publishByPrefix() throws {
        let context = try Context()
        var publisher = try Socket(
            .xpub, in: context, options: SocketOptions(xpubNoDrop: true))
        try publisher.bind(to: "tcp://127.0.0.1:*")
        var subscriber = try Socket(.subscribe, in: context)
        try subscriber.connect(to: publisher.lastEndpoint)
        try subscriber.subscribe(to: Array("a".utf8))
        #expect(try awaitFrames(&publisher) == [[1] + Array("a".utf8)])
        _ = try publisher.send([Array("b".utf8), [1]])
        _ = try publisher.send([Array("ab".utf8), [2]])
        #expect(try awaitFrames(&subscriber) == [Array("ab".utf8), [2]])
        try subscriber.unsubscribe(from: Array("a".utf8))
        #expect(try awaitFrames(&publisher) == [[0] + Array("a".utf8)])
        try publisher.setXPubNoDrop(false)
    }

    @Test("A mistake names the attempt, the reason and the remedy")
    func errorsExplain() throws {
        let context = try Context()
        var router = try boundRouter(in: context)
        let endpoint = router.lastEndpoint
        #expect(try router.receive() == nil)
        var other = try Socket(.router, in: context)
        let error = #expect(throws: ZeroMQError.self) { try other.bind(to: endpoint) }
        #expect(error?.code == .addressInUse)
        #expect(error?.description.contains(endpoint) == true)
        #expect(error?.description.contains("port *") == true)
        #expect(throws: ZeroMQError.self) { try other.connect(to: "nonsense") }
        let long = "ipc:///tmp/" + String(repeating: "x", count: 120)
        let tooLong = #expect(throws: ZeroMQError.self) { try other.bind(to: long) }
        #expect(tooLong?.description.contains("107") == true)
    }

    @Test("A socket that was unbound accepts nobody, and its port is free")
    func unbind() throws {
        let context = try Context()
        var router = try boundRouter(in: context)
        let endpoint = router.lastEndpoint
        try router.unbind(from: endpoint)
        #expect(throws: ZeroMQError.self) { try router.unbind(from: endpoint) }
    }

    @Test("Monitors of sockets that come and go have names of their own")
    func monitors() throws {
        let context = try Context()
        // A new socket soon has the address of one that was closed just before.
        for _ in 0..<2_000 {
            let socket = try Socket(.dealer, in: context)
            var monitor = try Monitor(of: socket, in: context)
            #expect(try monitor.next() == nil)
        }
    }
}
