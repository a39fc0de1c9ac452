internal import Wire
internal import ZeroMQ

/// The short way through: an envelope from one agent of the branch to another that has room.
///
/// Nearly every message goes it, without a copy and without an allocation. Everything else (who is
/// not registered, moves, has no room, speaks JSON, lives elsewhere) is left as it is for `handle`,
/// which knows all cases; the short way decides nothing differently.
///
/// What it needs is one value, so that a whole batch is one access to the proxy: access by access
/// the checks that nobody else is at it cost as much as the rest.
struct BranchPassage: ~Copyable {
    var router: Socket
    /// The message that is being looked at.
    var incoming = MultipartMessage()
    /// The agents, for names that are still in a frame.
    var registry = NameTable<Peer>()
    var statistics = RouteStatistics()

    init(_ router: consuming Socket) {
        self.router = router
    }

    /// Why `run` came back.
    enum Stop {
        /// Nothing is there.
        case idle
        /// As many messages as were allowed have gone.
        case turn
        /// The message that came last is for `handle`.
        case detour
    }

    /// Passes messages on until one must go the long way.
    ///
    /// - Parameter allowance: How many messages may still be taken, this one's included.
    /// - Returns: Why it ended.
    /// - Throws: `ZeroMQError` that no peer can cause.
    mutating func run(_ allowance: inout Int) throws(ZeroMQError) -> Stop {
        while allowance > 0 {
            guard try router.receive(into: &incoming) else { return .idle }
            allowance -= 1
            guard try passOn() else { return .detour }
        }
        return .turn
    }

    /// Whether the message that just came has gone on to its destination.
    @inline(__always)
    private mutating func passOn() throws(ZeroMQError) -> Bool {
        guard incoming.frameCount == 4,
            let sender = incoming.withFrame(0, { registry.value(for: $0) }), sender.wasAttached,
            sender.keepsHistory,
            let peer = incoming.withFrame(1, { registry.value(for: $0) }), peer.takesAtOnce,
            let view = incoming.withFrame(2, { HeaderView($0) }),
            view.kind.carriesContent, !view.isTopic, view.hops <= Envelope.hopsMax,
            // What the header says and what the message is routed by are the same.
            incoming.withFrame(
                2,
                { header in
                    incoming.withFrame(1) { isEqual(header, view.destination, $0) }
                })
        else { return false }
        let count = view.kind == .batch ? incoming.withFrame(3, { Batch.count(of: $0) }) ?? 0 : 1
        guard count > 0, view.kind == .content || peer.takesBatches else { return false }
        let bytes = incoming.byteCount(ofFrame: 3)
        guard try router.send(&incoming, frames: 1..<4) == .sent else { return false }
        peer.isReachable = true
        peer.outlet.tookContent(count)
        statistics.count(
            from: sender.number, to: peer.number, bytes: bytes, messages: count)
        return true
    }
}

extension BranchProxy {
    /// Takes messages from the ROUTER; whether some may be left.
    func receiveBatch() throws(RoutingError) -> Bool {
        var allowance = Self.batchMax
        while isReading {
            let stop = try zeroMQ { () throws(ZeroMQError) in try passage.run(&allowance) }
            switch stop {
            case .idle: return false
            case .turn: return true
            case .detour:
                try handle(passage.incoming.copyFrames(), of: passage.incoming.frameCount)
            }
        }
        return true
    }
}
