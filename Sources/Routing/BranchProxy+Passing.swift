internal import Wire
internal import ZeroMQ

/// The short way through: an envelope from one agent of the branch to another that has room.
///
/// Nearly every message goes it, without a copy and without an allocation. Everything else (who is
/// not registered, moves, has no room, speaks JSON, lives elsewhere) is left as it is for `handle`,
/// which knows all cases; the short way decides nothing differently.
extension BranchProxy {
    /// Takes messages from the ROUTER; whether some may be left.
    func receiveBatch() throws(RoutingError) -> Bool {
        for _ in 0..<Self.batchMax {
            let isThere = try zeroMQ { () throws(ZeroMQError) in
                try router.receive(into: &incoming)
            }
            guard isThere else { return false }
            if try passOn() { continue }
            try handle(incoming.copyFrames(), of: incoming.frameCount)
        }
        return true
    }

    /// Whether the message that just came has gone on to its destination.
    private func passOn() throws(RoutingError) -> Bool {
        guard incoming.frameCount == 4,
            let sender = incoming.withFrame(0, { registry.value(for: $0) }), sender.wasAttached,
            sender.keepsHistory,
            let peer = incoming.withFrame(1, { registry.value(for: $0) }), peer.takesAtOnce,
            let view = incoming.withFrame(2, { HeaderView($0) }),
            view.kind == .content, !view.isTopic, view.hops <= Envelope.hopsMax,
            // What the header says and what the message is routed by are the same.
            incoming.withFrame(
                2,
                { header in
                    incoming.withFrame(1) { header[view.destination].elementsEqual($0) }
                })
        else { return false }
        let bytes = incoming.byteCount(ofFrame: 3)
        let result = try zeroMQ { () throws(ZeroMQError) in
            try router.send(&incoming, frames: 1..<4)
        }
        guard result == .sent else { return false }
        peer.isReachable = true
        peer.outlet.tookContent()
        statistics.count(from: sender.number, to: peer.number, bytes: bytes)
        return true
    }
}
