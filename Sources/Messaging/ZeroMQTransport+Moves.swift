internal import JSON
internal import Moves
internal import Wire
internal import ZeroMQ

/// What a moving agent and the proxies say to each other; both ways to be moved need it.
extension ZeroMQTransport {
    /// Asks the branch to have the agent live there, and the topic proxies for the end of what they
    /// have for it on this way.
    ///
    /// Without room, or an answer, it is asked again.
    func ask(for route: Route) throws(MessagingError) {
        let content = Array(route.json.canonical.utf8)
        _ = try zeroMQ(.drain) { () throws(ZeroMQError) in
            try sendToProxy(.marker, type: MoveWord.ask, content)
        }
        try topics.askForLast(route.epoch)
    }

    /// Asks the proxies to say when all has gone on that the agent sent on a way that ends.
    func askToSettle(_ former: Route) throws(MessagingError) {
        let content = Array(former.json.canonical.utf8)
        _ = try zeroMQ(.drain) { () throws(ZeroMQError) in
            try sendToProxy(.marker, type: MoveWord.settle, content)
        }
        try topics.askToSettle(former.epoch)
    }

    /// Whether all of them have said so.
    func isSettled(_ epoch: UInt64) throws(MessagingError) -> Bool {
        guard settledEpoch >= epoch else { return false }
        return try topics.isSettled(epoch)
    }

    func heed(move envelope: Envelope) {
        guard let route = (try? Value(parsing: envelope.content)).flatMap({ Route($0) }) else {
            return
        }
        if envelope.type == MoveWord.answer {
            decision = route
        } else {
            settledEpoch = max(settledEpoch, route.epoch)
        }
    }
}
