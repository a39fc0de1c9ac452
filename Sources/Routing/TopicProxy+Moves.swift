internal import Wire
internal import ZeroMQ

/// Agents that move while they go on: a topic proxy decides nothing about them, and says what it has done.
extension TopicProxy {
    /// A subscriber asks where what is here for it ends: behind all that NATS had for this proxy, once NATS has
    /// all that this proxy had for it.
    func answer(last question: [UInt8]) {
        guard let bridge else { return say(last: question, true) }
        bridge.catchUp(token: pending.add { [self] isDone in say(last: question, isDone) })
    }

    private func say(last question: [UInt8], _ isDone: Bool) {
        guard isDone else { return log("MOVE: NATS did not answer in time; it is asked again") }
        let marker = ownEnvelope(.marker, type: "last", about: "")
        do throws(RoutingError) {
            try deliver([question, marker.header, []])
        } catch {
            log("ROUTING: \(error)")
        }
    }

    /// A publisher asks to be told when all that it published before has gone on.
    ///
    /// It is told by a subscription, the only thing that a subscriber's side can say; it is ended at once.
    func settle(_ question: [UInt8]) {
        guard let bridge else { return say(settled: question, true) }
        bridge.catchUp(token: pending.add { [self] isDone in say(settled: question, isDone) })
    }

    private func say(settled question: [UInt8], _ isDone: Bool) {
        guard isDone else { return log("MOVE: NATS did not answer in time; it is asked again") }
        do throws(RoutingError) {
            try zeroMQ { () throws(ZeroMQError) in
                _ = try passage.publishers.send([[1] + question])
                _ = try passage.publishers.send([[0] + question])
            }
        } catch {
            log("ROUTING: \(error)")
        }
    }
}
