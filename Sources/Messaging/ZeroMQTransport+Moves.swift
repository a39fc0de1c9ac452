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

    /// Gives credit for what is kept instead of handed out, since the branch's answer is behind it: it would
    /// never come where more waits for the agent than the window is large.
    ///
    /// - Returns: The same, for which no credit is owed any more.
    func credited(_ inbound: Inbound) -> Inbound {
        switch inbound {
        case .arrival(var arrival) where arrival.isCredited:
            arrival.isCredited = false
            consumed(1)
            return .arrival(arrival)
        case .batch(let items, let transport, isCredited: true):
            consumed(items.count)
            return .batch(items, transport: transport, isCredited: false)
        default: return inbound
        }
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
