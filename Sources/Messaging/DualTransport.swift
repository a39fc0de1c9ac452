public import Wire
public import ZeroMQ

/// Two ways at once: the primary, whose copies are acted on, and a shadow on NATS, whose copies are
/// only compared.
///
/// Nothing that happens to the shadow fails the primary: what the shadow could not do is counted
/// and told by the client.
public final class DualTransport: AgentTransport {
    /// The way that is acted on.
    public let primary: any AgentTransport
    /// The way that is only compared.
    let shadow: NATSTransport
    /// Whether envelopes are duplicated now; listening goes on in any case.
    public var isDuplicating: Bool
    /// What the shadow could not do, for the client to tell.
    private(set) var problems: [String] = []

    private struct Pending {
        var primary: UInt64?
        var shadow: UInt64?
    }
    private var tickets: UInt64 = 0
    private var pending: [UInt64: Pending] = [:]
    private var isShadowsTurn = false

    /// Joins two ways of one agent.
    ///
    /// - Parameters:
    ///   - primary: The way that is acted on.
    ///   - shadow: A way on the shadow subjects of the run.
    ///   - topics: What the agent is subscribed to already; the shadow follows.
    ///   - isDuplicating: Whether envelopes are duplicated from the start.
    public init(
        primary: any AgentTransport, shadow: NATSTransport, topics: [String] = [],
        isDuplicating: Bool = false
    ) {
        self.primary = primary
        self.shadow = shadow
        self.isDuplicating = isDuplicating
        for topic in topics { _ = subscribeShadow(to: topic) }
    }

    /// The primary's name.
    public var name: String { primary.name }

    /// Whether the primary has a connection.
    public var isConnected: Bool { primary.isConnected }

    /// Only the primary's: what the shadow cannot carry is a finding, not a failure.
    public func refusal(of envelope: Envelope) -> MessagingError.Reason? {
        primary.refusal(of: envelope)
    }

    /// The primary's; the shadow's copies go one by one.
    public var batchBytesMax: Int { primary.batchBytesMax }

    /// On the primary way; the client duplicates, since it records both.
    public func send(_ envelope: Envelope) throws(MessagingError) -> Bool {
        try primary.send(envelope)
    }

    /// Why the shadow copy did not go out, or nil where it did.
    func sendShadow(_ envelope: Envelope) -> String? {
        do throws(MessagingError) {
            return try shadow.send(envelope) ? nil : "no connection, or no room on it"
        } catch {
            return error.reason.description
        }
    }

    func takeProblems() -> [String] {
        defer { problems.removeAll() }
        return problems
    }

    /// From both ways in turns; a subscription counts once both confirmed it.
    public func receive() throws(MessagingError) -> Inbound? {
        for _ in 0..<2 {
            isShadowsTurn.toggle()
            let inbound = isShadowsTurn ? try receiveShadow() : try primary.receive()
            switch inbound {
            case nil: continue
            case .confirmed(let ticket):
                if let ours = confirm(ticket, isShadow: isShadowsTurn) {
                    return .confirmed(ticket: ours)
                }
                return try receive()
            default: return inbound
            }
        }
        return nil
    }

    private func receiveShadow() throws(MessagingError) -> Inbound? {
        // What comes here beside envelopes and confirmations is not the agent's.
        while let inbound = try shadow.receive() {
            switch inbound {
            case .shadow, .confirmed: return inbound
            case .malformed(let what): problems.append("malformed: \(what)")
            case .incomplete(let envelope, _, let reason):
                problems.append("\(envelope.identity) not received: \(reason)")
            case .arrival, .batch, .unidentified, .gap, .remark, .acknowledged: continue
            }
        }
        return nil
    }

    private func confirm(_ ticket: UInt64, isShadow: Bool) -> UInt64? {
        let found = pending.first { isShadow ? $1.shadow == ticket : $1.primary == ticket }
        guard let ours = found?.key else { return nil }
        if isShadow {
            pending[ours]?.shadow = nil
        } else {
            pending[ours]?.primary = nil
        }
        guard let left = pending[ours], left.primary == nil, left.shadow == nil else { return nil }
        pending[ours] = nil
        return ours
    }

    /// The primary's and the shadow's.
    public func inboundItems() -> [PollItem] { primary.inboundItems() + shadow.inboundItems() }

    /// The primary's.
    public func outboundItems(to destination: Address) -> [PollItem] {
        primary.outboundItems(to: destination)
    }

    /// On both ways.
    public func subscribe(to topic: String) throws(MessagingError) -> UInt64 {
        let ticket = try primary.subscribe(to: topic)
        tickets += 1
        pending[tickets] = Pending(primary: ticket, shadow: subscribeShadow(to: topic))
        return tickets
    }

    private func subscribeShadow(to topic: String) -> UInt64? {
        do throws(MessagingError) {
            return try shadow.subscribe(to: topic)
        } catch {
            problems.append(error.description)
            return nil
        }
    }

    /// On both ways.
    public func unsubscribe(from topic: String) throws(MessagingError) {
        try primary.unsubscribe(from: topic)
        do throws(MessagingError) {
            try shadow.unsubscribe(from: topic)
        } catch {
            problems.append(error.description)
        }
    }

    /// Of the primary.
    public func consumed(_ count: Int) { primary.consumed(count) }

    /// On both ways.
    public func beginInboundDrain(of hold: UInt64?) throws(MessagingError) {
        beginShadowDrain()
        try primary.beginInboundDrain(of: hold)
    }

    func beginShadowDrain() {
        do throws(MessagingError) {
            try shadow.beginInboundDrain(of: nil)
        } catch {
            problems.append(error.description)
        }
    }

    var isShadowDrained: Bool { shadow.isInboundDrained || !shadow.isConnected }

    /// Of both ways, where the shadow has a connection.
    public var isInboundDrained: Bool { primary.isInboundDrained && isShadowDrained }

    /// On both ways.
    public func beginOutboundDrain() throws(MessagingError) {
        do throws(MessagingError) {
            try shadow.beginOutboundDrain()
        } catch {
            problems.append(error.description)
        }
        try primary.beginOutboundDrain()
    }

    /// Of the primary.
    public var isOutboundDrained: Bool { primary.isOutboundDrained }

    /// Of the primary.
    public var reconnections: Int { primary.reconnections }

    /// Of the primary.
    public var switches: Int { primary.switches }

    /// Of the primary.
    public var due: UInt64? { primary.due }

    /// Ends both.
    public func close() {
        shadow.close()
        primary.close()
    }
}
