internal import DequeModule
internal import JSON
internal import Wire
internal import ZeroMQ

/// A peer's place at a ROUTER of the user's own: a DEALER under one name.
///
/// Whether the name is its own, and how far the ROUTER has come with what was sent, it learns by
/// messages to itself through it.
final class Seat {
    /// The name, which is the routing id.
    let name: String
    private let endpoint: String
    private let incarnation: UInt32
    private let clock: RunClock
    private let context: Context
    private let limits: QueueLimits
    private var socket: Socket?
    /// What waits for room, and who is to get it.
    private var waiting: Deque<(parcel: Parcel, receiver: String)> = []
    private var waitingBytes = 0
    /// Whether a message to oneself came back: nobody else has the name.
    private(set) var isOurs = false
    private var joining: Joining?
    private var (sentMarker, seenMarker): (UInt64, UInt64) = (0, 0)
    private var sendAgain: UInt64 = 0
    private var fences: Deque<(marker: UInt64, finish: (Bool) -> Void, end: UInt64)> = []
    /// Messages sent, ever; before the last marker; and before the last marker that came back.
    private var (sends, markedSends, provenSends): (UInt64, UInt64, UInt64) = (0, 0, 0)

    private struct Joining {
        /// When the present attempt is given up, or the next one begins.
        var until: UInt64
        var patience: UInt64 = 50_000_000
        let end: UInt64
        let finish: (Bool) -> Void
    }

    /// What came for the name.
    enum Arrival {
        case frame(SeedFrame, bytes: [UInt8])
        case malformed(String)
    }

    /// Time between two attempts to get a marker through: a proxy may lose it like any message.
    private static let again: UInt64 = 250_000_000
    private static let fenceTime: UInt64 = 2_400_000_000
    /// Between the end of one attempt and the next: the ROUTER must see the first one go.
    private static let breath: UInt64 = 15_000_000
    private static let receiveHighWaterMark = 100_000

    init(
        _ name: String, at endpoint: String, incarnation: UInt32, clock: RunClock,
        limits: QueueLimits, in context: Context
    ) {
        self.name = name
        self.endpoint = endpoint
        // None that an agent can have: what it said to itself under this name is not ours.
        self.incarnation = 0xB000_0000 | incarnation & 0x0FFF_FFFF
        self.clock = clock
        self.limits = limits
        self.context = context
    }

    var isOpen: Bool { socket != nil }
    var isBusy: Bool { joining != nil || !fences.isEmpty || !waiting.isEmpty }
    var queued: Int { waiting.count }

    var pollItem: PollItem? { socket?.pollItem() }

    /// Takes the name, attempt by attempt: a ROUTER without handover ignores a second peer of the
    /// same name for ever, without a word and even once the first is gone.
    func join(within time: Duration, _ finish: @escaping (Bool) -> Void) throws(RoutingError) {
        guard !isOurs else { return finish(true) }
        joining?.finish(false)
        let now = clock.now
        joining = Joining(
            until: now, end: now + UInt64(time / .nanoseconds(1)), finish: finish)
        try tick()
    }

    private func open() throws(RoutingError) {
        let options = SocketOptions(
            routingID: name, receiveHighWaterMark: Self.receiveHighWaterMark)
        let (context, endpoint) = (context, endpoint)
        let hello = note(.hello, 0)
        socket = try zeroMQ { () throws(ZeroMQError) in
            var socket = try Socket(.dealer, in: context, options: options)
            try socket.connect(to: endpoint)
            _ = try socket.send([hello])
            return socket
        }
    }

    private func note(_ kind: Envelope.Kind, _ number: UInt64) -> [UInt8] {
        SeedFrame.note(kind, toOneself: name, incarnation, number: number, at: clock.now)
    }

    /// Gives the name back.
    ///
    /// What waited is returned.
    @discardableResult
    func leave() -> [Parcel] {
        socket = nil
        isOurs = false
        provenSends = sends
        let failed = fences
        fences = []
        for fence in failed { fence.finish(false) }
        let asked = joining
        joining = nil
        asked?.finish(false)
        defer {
            waiting = []
            waitingBytes = 0
        }
        return waiting.map(\.parcel)
    }

    /// Done when the ROUTER has handled everything that was sent before.
    func fence(_ finish: @escaping (Bool) -> Void) throws(RoutingError) {
        guard isOurs else { return finish(false) }
        guard provenSends < sends || !waiting.isEmpty else { return finish(true) }
        try mark(finish)
    }

    /// Done when everything that the ROUTER had for the name has come.
    func mark(_ finish: @escaping (Bool) -> Void) throws(RoutingError) {
        guard isOurs else { return finish(false) }
        sentMarker += 1
        markedSends = sends
        fences.append((sentMarker, finish, clock.now + Self.fenceTime))
        try sendMarker()
    }

    private func sendMarker() throws(RoutingError) {
        guard waiting.isEmpty else { return }
        sendAgain = clock.now + Self.again
        let marker = note(.marker, sentMarker)
        _ = try zeroMQ { () throws(ZeroMQError) in try socket?.send([marker]) }
    }

    /// Sends, or keeps for later; false when the bound is reached.
    func offer(_ parcel: Parcel, to receiver: String) throws(RoutingError) -> Bool {
        guard
            waiting.isEmpty
                || waiting.count < limits.messages
                    && waitingBytes + parcel.byteCount <= limits.bytes
        else { return false }
        waiting.append((parcel, receiver))
        waitingBytes += parcel.byteCount
        try pump()
        return true
    }

    private func pump() throws(RoutingError) {
        guard isOurs, socket != nil else { return }
        let hadWaited = !waiting.isEmpty
        while let (parcel, receiver) = waiting.first {
            let frame: [UInt8]
            if let seed = parcel.seed {
                frame = seed
            } else if let envelope = parcel.envelope {
                frame = SeedFrame.bytes(of: envelope, to: receiver)
            } else {
                frame = []
            }
            let result = try zeroMQ { () throws(ZeroMQError) in try socket?.send([frame]) }
            guard result == .sent else { return }
            sends += 1
            waiting.removeFirst()
            waitingBytes -= parcel.byteCount
        }
        // A marker that could not go before what waited goes now.
        if hadWaited, !fences.isEmpty { try sendMarker() }
    }

    /// What is due: attempts, markers, what waits.
    func tick() throws(RoutingError) {
        let now = clock.now
        if var attempt = joining, !isOurs, now >= attempt.until {
            if now >= attempt.end {
                _ = leave()
                return
            }
            if socket != nil {
                socket = nil
                attempt.until = now + Self.breath
            } else {
                try open()
                attempt.until = now + attempt.patience
                attempt.patience = min(attempt.patience * 2, 1_000_000_000)
            }
            joining = attempt
        }
        try pump()
        guard !fences.isEmpty else { return }
        if now >= sendAgain { try sendMarker() }
        while let fence = fences.first, fence.end <= now {
            fences.removeFirst()
            fence.finish(false)
        }
    }

    /// The next thing that came for the name, or nil.
    func receive() throws(RoutingError) -> Arrival? {
        while true {
            let frames = try zeroMQ { () throws(ZeroMQError) in try socket?.receive() }
            guard let bytes = frames?.last else { return nil }
            let frame: SeedFrame
            do throws(WireError) {
                frame = try SeedFrame(parsing: bytes)
            } catch {
                return .malformed("for '\(name)': \(error)")
            }
            guard case .envelope(let envelope) = frame,
                envelope.kind == .hello || envelope.kind == .marker
            else { return .frame(frame, bytes: bytes) }
            guard envelope.source == name, envelope.incarnation == incarnation else { continue }
            if envelope.kind == .hello {
                takeOver()
            } else if let number = (try? Value(parsing: envelope.content))?.integer {
                pass(UInt64(clamping: number))
            }
        }
    }

    private func takeOver() {
        guard let attempt = joining else { return }
        joining = nil
        isOurs = true
        attempt.finish(true)
    }

    private func pass(_ number: UInt64) {
        seenMarker = max(seenMarker, number)
        if seenMarker == sentMarker { provenSends = markedSends }
        while let fence = fences.first, fence.marker <= seenMarker {
            fences.removeFirst()
            fence.finish(true)
        }
    }
}
