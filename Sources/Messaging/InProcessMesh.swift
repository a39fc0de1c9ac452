internal import DequeModule
internal import Synchronization
internal import Threads
public import Wire
public import ZeroMQ

/// A mesh inside one process: agents, topics and nothing between them.
///
/// Its transports behave as the others do, including full inboxes and confirmed subscriptions, so
/// that an agent can be run and tested without a socket. Share it among threads freely.
public final class InProcessMesh: Sendable {
    final class Inbox: Sendable {
        let wakeUp: WakeUp
        let queue = Mutex<Deque<Inbound>>([])

        init() throws(MessagingError) {
            wakeUp = try threads { () throws(ThreadError) in try WakeUp() }
        }
    }

    private struct State {
        var inboxes: [String: Inbox] = [:]
        var subscriptions: [String: Set<String>] = [:]
        var undeliverable: [Address: Int] = [:]
    }

    /// The most envelopes that wait in one agent's inbox.
    public let inboxMax: Int
    private let state = Mutex(State())

    /// A mesh without agents.
    public init(inboxMax: Int = 10_000) {
        self.inboxMax = inboxMax
    }

    /// Envelopes to agents that are not attached, by name.
    public var undeliverable: [Address: Int] { state.withLock { $0.undeliverable } }

    func attach(_ name: String) throws(MessagingError) -> Inbox {
        let inbox = try Inbox()
        state.withLock { $0.inboxes[name] = inbox }
        return inbox
    }

    /// Only the inbox that is given: a later one of the same name stays.
    func detach(_ name: String, _ inbox: Inbox) {
        state.withLock { state in
            guard state.inboxes[name] === inbox else { return }
            state.inboxes[name] = nil
            state.subscriptions[name] = nil
        }
    }

    func subscribe(_ name: String, to topic: String) {
        state.withLock { _ = $0.subscriptions[name, default: []].insert(topic) }
    }

    func unsubscribe(_ name: String, from topic: String) {
        state.withLock { _ = $0.subscriptions[name]?.remove(topic) }
    }

    /// False where one receiver has no room: then none got it.
    ///
    /// One lock, so that the order of two envelopes is the same for every receiver.
    func route(_ envelope: Envelope) -> Bool {
        state.withLock { state in
            let receivers: [Inbox]
            switch envelope.destination {
            case .agent(let name):
                receivers = state.inboxes[name].map { [$0] } ?? []
                if receivers.isEmpty { state.undeliverable[envelope.destination, default: 0] += 1 }
            case .topic(let topic):
                receivers = state.subscriptions.compactMap { name, topics in
                    topics.contains { Names.topic(topic, isUnder: $0) } ? state.inboxes[name] : nil
                }
            }
            for inbox in receivers where inbox.queue.withLock({ $0.count >= inboxMax }) {
                return false
            }
            let inbound: Inbound =
                switch envelope.kind {
                case .gap: GapNotice.inbound(envelope)
                case .acknowledgement: Acknowledgement.inbound(envelope)
                default: .arrival(Arrival(envelope, transport: InProcessTransport.transportName))
                }
            for inbox in receivers {
                inbox.queue.withLock { $0.append(inbound) }
                inbox.wakeUp.signal()
            }
            return true
        }
    }
}

/// An agent's way into an `InProcessMesh`.
public final class InProcessTransport: AgentTransport {
    static let transportName = "inproc"

    /// `inproc`.
    public let name = InProcessTransport.transportName
    private let agent: String
    private let mesh: InProcessMesh
    private let inbox: InProcessMesh.Inbox
    private var tickets: UInt64 = 0
    private var isDetached = false
    /// Always: what is sent is in its receiver's inbox.
    public let isOutboundDrained = true

    /// Attaches an agent; one of the same name that was attached before hears nothing any more.
    public init(agent: String, mesh: InProcessMesh) throws(MessagingError) {
        self.agent = agent
        self.mesh = mesh
        self.inbox = try mesh.attach(agent)
    }

    deinit { mesh.detach(agent, inbox) }

    /// Never: anything fits.
    public func refusal(of envelope: Envelope) -> MessagingError.Reason? { nil }

    /// Puts the envelope into every receiver's inbox, or into none.
    public func send(_ envelope: Envelope) throws(MessagingError) -> Bool { mesh.route(envelope) }

    /// The next thing in the inbox.
    public func receive() throws(MessagingError) -> Inbound? {
        inbox.wakeUp.take()
        return inbox.queue.withLock { queue in
            let next = queue.popFirst()
            // What stays must wake the next poll.
            if !queue.isEmpty { inbox.wakeUp.signal() }
            return next
        }
    }

    /// The inbox's signal.
    public func inboundItems() -> [PollItem] { [.fileDescriptor(inbox.wakeUp.descriptor)] }

    /// Nothing tells when another agent's inbox has room.
    public func outboundItems(to destination: Address) -> [PollItem] { [] }

    /// Holds at once.
    public func subscribe(to topic: String) throws(MessagingError) -> UInt64 {
        mesh.subscribe(agent, to: topic)
        tickets += 1
        let ticket = tickets
        inbox.queue.withLock { $0.append(.confirmed(ticket: ticket)) }
        inbox.wakeUp.signal()
        return ticket
    }

    /// Ends at once.
    public func unsubscribe(from topic: String) throws(MessagingError) {
        mesh.unsubscribe(agent, from: topic)
    }

    /// Nothing is counted here.
    public func consumed(_ count: Int) {}

    /// Takes the agent out of the mesh; its inbox stays.
    public func beginInboundDrain(of hold: UInt64?) throws(MessagingError) {
        mesh.detach(agent, inbox)
        isDetached = true
    }

    /// Whether the agent is out of the mesh, and its inbox empty.
    public var isInboundDrained: Bool { isDetached && inbox.queue.withLock { $0.isEmpty } }

    /// Nothing to do.
    public func beginOutboundDrain() throws(MessagingError) {}

    /// Takes the agent out of the mesh.
    public func close() { mesh.detach(agent, inbox) }
}
