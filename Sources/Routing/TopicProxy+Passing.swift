internal import Wire
internal import ZeroMQ

/// The short way through: an envelope that goes to the subscribers and nowhere else.
///
/// Everything that a proxy could have to do beside that (a hold, NATS, no room, a foreign publisher)
/// is left as it is for `forward`; the short way decides nothing differently.
extension TopicProxy {
    /// Topics beyond this many go the long way: a stranger's imagination must not fill memory.
    private static let knownTopicsMax = 10_000

    /// Takes messages from publishers; whether some may be left.
    func takeBatch() throws(RoutingError) -> Bool {
        for _ in 0..<Self.batchMax where backlog.isEmpty {
            let isThere = try zeroMQ { () throws(ZeroMQError) in
                try publishers.receive(into: &incoming)
            }
            guard isThere else { return false }
            if try passOn() { continue }
            let frames = incoming.copyFrames()
            try forward(frames, of: incoming.frameCount)
        }
        return true
    }

    /// Whether the message that just came has gone to the subscribers.
    private func passOn() throws(RoutingError) -> Bool {
        guard bridge == nil, holds.isEmpty, configuration.recorded.isEmpty, !configuration.isBeside,
            incoming.frameCount == 3, isLegal(),
            let view = incoming.withFrame(1, { HeaderView($0) }),
            view.kind == .content, view.isTopic, view.hops <= Envelope.hopsMax,
            incoming.withFrame(
                1,
                { header in
                    incoming.withFrame(0) { header[view.destination].elementsEqual($0) }
                })
        else { return false }
        let count = incoming.byteCount(ofFrame: 2)
        let result = try zeroMQ { () throws(ZeroMQError) in
            try subscribers.send(&incoming, frames: 0..<3)
        }
        guard result == .sent else { return false }
        if stall.isSeen { stall.hadRoom(timeout: configuration.stallTimeout, now: .now) }
        messages += 1
        bytes += count
        return true
    }

    /// Whether the first frame is a topic, which is the same few for most messages.
    private func isLegal() -> Bool {
        if incoming.withFrame(0, { knownTopics.value(for: $0) }) != nil { return true }
        let name = incoming.withFrame(0) { [UInt8]($0) }
        guard let topic = String(validating: name, as: UTF8.self), Names.isLegalTopic(topic),
            knownTopics.count < Self.knownTopicsMax
        else { return false }
        knownTopics.insert((), for: name)
        return true
    }
}
