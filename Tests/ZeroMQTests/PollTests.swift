import Testing

@testable import ZeroMQ

@Suite("Waiting for several sockets") struct PollTests {
    @Test("A socket that is given twice is asked for once, for all that is wanted of it")
    func socketsOnce() throws {
        let context = try Context()
        let one = try Socket(.dealer, in: context)
        let two = try Socket(.dealer, in: context)
        let request = PollRequest([
            one.pollItem(.writable), .fileDescriptor(0), two.pollItem(), one.pollItem(),
            .fileDescriptor(0, .writable), one.pollItem([]),
        ])
        #expect(request.places == [0, 1, 2, 0, 3, 0])
        #expect(
            request.wanted == [[.readable, .writable], .readable, .readable, .writable])
    }

    @Test("Each item of the same socket is told what it asked for, and no more")
    func seenApart() throws {
        let context = try Context()
        var router = try Socket(.router, in: context)
        try router.bind(to: "tcp://127.0.0.1:*")
        var dealer = try Socket(.dealer, in: context, options: SocketOptions(routingID: "a"))
        try dealer.connect(to: router.lastEndpoint)
        var items = [dealer.pollItem(.writable), dealer.pollItem()]
        #expect(try poll(&items, timeout: .seconds(5)) == 1)
        #expect(items.map(\.isWritable) == [true, false])
        #expect(items.map(\.isReadable) == [false, false])
        #expect(try dealer.send([[1]]) == .sent)
        var incoming = [router.pollItem()]
        #expect(try poll(&incoming, timeout: .seconds(5)) == 1)
        #expect(try router.receive() != nil)
        #expect(try router.send([Array("a".utf8), [2]]) == .sent)
        // It is writable all the time: what is to be waited for is that it is readable, too.
        var both = [dealer.pollItem()]
        #expect(try poll(&both, timeout: .seconds(5)) == 1)
        items = [dealer.pollItem(.writable), dealer.pollItem()]
        #expect(try poll(&items, timeout: .zero) == 2)
        #expect(items.map(\.isWritable) == [true, false])
        #expect(items.map(\.isReadable) == [false, true])
    }
}
