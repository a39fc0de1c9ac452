import Synchronization
import Testing
import ZeroMQ

/// Bytes that tell when nobody needs them any more.
private final class Lent: Sendable {
    private let array: [UInt8]
    private let note: Note

    /// Outlives the bytes.
    final class Note: Sendable {
        private let flag = Atomic(false)

        var isReturned: Bool { flag.load(ordering: .acquiring) }

        func giveBack() { flag.store(true, ordering: .releasing) }
    }

    init(_ array: [UInt8], _ note: Note) {
        self.array = array
        self.note = note
    }

    deinit { note.giveBack() }

    var kept: KeptBytes {
        KeptBytes(array.withUnsafeBytes { $0 }, keptBy: self)
    }
}

@Suite("Without a copy") struct InPlaceTests {
    private static func awaitMessage(
        _ socket: inout Socket, _ message: inout MultipartMessage
    ) throws -> Bool {
        var items = [socket.pollItem()]
        guard try poll(&items, timeout: .seconds(10)) > 0 else { return false }
        return try socket.receive(into: &message)
    }

    private static func isReturned(_ note: Lent.Note) throws -> Bool {
        // libzmq lets go on its own thread, as soon as it has written the last byte.
        var none: [PollItem] = []
        for _ in 0..<2_000 where !note.isReturned {
            _ = try poll(&none, timeout: .milliseconds(5))
        }
        return note.isReturned
    }

    @Test(
        "What is sent from where it is arrives unchanged, and is let go of",
        arguments: [0, 1, 33, 34, 8_192, 65_536, 10_000_000])
    func sent(size: Int) throws {
        let context = try Context()
        var pull = try Socket(.pull, in: context)
        try pull.bind(to: "tcp://127.0.0.1:*")
        let endpoint = pull.lastEndpoint
        var push = try Socket(.push, in: context)
        try push.connect(to: endpoint)
        let content = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        let note = Lent.Note()
        do {
            let lent = Lent(content, note)
            #expect(try push.send([[1], []], keeping: lent.kept, wait: true) == .sent)
        }
        var message = MultipartMessage()
        #expect(try Self.awaitMessage(&pull, &message))
        #expect(message.frameCount == 3)
        let frame = message.take(2)
        #expect(message.byteCount(ofFrame: 2) == 0)
        // Another message does not disturb what was taken out.
        #expect(try push.send([[2]], wait: true) == .sent)
        #expect(try Self.awaitMessage(&pull, &message))
        #expect([UInt8](frame.bytes) == content)
        #expect(try Self.isReturned(note))
    }

    @Test("What finds no room is let go of at once")
    func noRoom() throws {
        let context = try Context()
        var push = try Socket(.push, in: context)
        let note = Lent.Note()
        do {
            let lent = Lent([UInt8](repeating: 1, count: 100_000), note)
            #expect(try push.send([[1]], keeping: lent.kept) == .wouldBlock)
            #expect(!note.isReturned)
        }
        #expect(note.isReturned)
    }

    @Test("Whom a mandatory router does not know gets nothing, and nothing is kept for him")
    func unreachable() throws {
        let context = try Context()
        var router = try Socket(
            .router, in: context, options: SocketOptions(routerMandatory: true))
        try router.bind(to: "tcp://127.0.0.1:*")
        let note = Lent.Note()
        do {
            let lent = Lent([1, 2, 3], note)
            #expect(try router.send([[9]], keeping: lent.kept) == .unreachable)
        }
        #expect(note.isReturned)
    }

    @Test("What waits when its socket ends is let go of with it")
    func closed() throws {
        let note = Lent.Note()
        do {
            let context = try Context()
            var push = try Socket(.push, in: context)
            // Nobody is there: it waits in the connection's queue.
            try push.connect(to: "tcp://127.0.0.1:1")
            let lent = Lent([UInt8](repeating: 1, count: 100_000), note)
            #expect(try push.send([], keeping: lent.kept) == .sent)
        }
        #expect(try Self.isReturned(note))
    }
}
