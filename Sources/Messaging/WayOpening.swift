internal import Synchronization
internal import Threads
internal import Wire
internal import ZeroMQ

/// How an agent that can be moved gets to each of its ways.
public struct WayOpeners: Sendable {
    /// Attaches to the branch.
    public var zeroMQ: @Sendable () throws(MessagingError) -> ZeroMQTransport
    /// Connects to the server, and hears what is for the agent.
    public var nats: @Sendable () throws(MessagingError) -> NATSTransport

    /// Both ways.
    public init(
        zeroMQ: @escaping @Sendable () throws(MessagingError) -> ZeroMQTransport,
        nats: @escaping @Sendable () throws(MessagingError) -> NATSTransport
    ) {
        self.zeroMQ = zeroMQ
        self.nats = nats
    }
}

/// A way that is open, and what came on it while it was opened.
struct OpenedWay {
    enum Kind {
        case zmq(ZeroMQTransport)
        case nats(NATSTransport)
    }

    let kind: Kind
    var early: [Inbound] = []

    var transport: any AgentTransport {
        switch kind {
        case .zmq(let transport): transport
        case .nats(let transport): transport
        }
    }

    /// Opens a way with these subscriptions; when it returns, all of it holds.
    ///
    /// - Parameters:
    ///   - transport: Which.
    ///   - openers: How to get there.
    ///   - topics: What is to be subscribed to.
    ///   - isPublishing: Whether the agent is to be able to publish to any topic at once.
    /// - Returns: The way.
    /// - Throws: `MessagingError` where something of it cannot be reached in time.
    static func open(
        _ transport: Transport, by openers: WayOpeners, topics: Set<String>,
        isPublishing: Bool = false
    ) throws(MessagingError) -> OpenedWay {
        var way =
            switch transport {
            case .zmq: OpenedWay(kind: .zmq(try openers.zeroMQ()))
            case .nats: OpenedWay(kind: .nats(try openers.nats()))
            }
        if isPublishing, case .zmq(let transport) = way.kind {
            try transport.topics.connectPublishers()
        }
        for topic in topics.sorted() { try way.subscribe(to: topic) }
        if isPublishing { try way.waitForPublishers() }
        return way
    }

    private func waitForPublishers() throws(MessagingError) {
        guard case .zmq(let transport) = kind else { return }
        for _ in 0..<Self.subscribeMax {
            if try transport.topics.arePublishersConnected { return }
            var items = transport.topics.settlingItems
            _ = try zeroMQ(.attach("topics")) { () throws(ZeroMQError) in
                try poll(&items, timeout: .milliseconds(1))
            }
        }
        throw MessagingError(.attach("topics"), .timeout(.milliseconds(Self.subscribeMax)))
    }

    /// The longest that a subscription may take to hold, in milliseconds.
    private static let subscribeMax = 2_000

    private mutating func subscribe(to topic: String) throws(MessagingError) {
        let ticket = try transport.subscribe(to: topic)
        for _ in 0..<Self.subscribeMax {
            while let inbound = try transport.receive() {
                guard inbound != .confirmed(ticket: ticket) else { return }
                early.append(inbound)
            }
            var items = transport.inboundItems()
            _ = try zeroMQ(.subscribe(topic)) { () throws(ZeroMQError) in
                try poll(&items, timeout: .milliseconds(1))
            }
        }
        throw MessagingError(.subscribe(topic), .timeout(.milliseconds(Self.subscribeMax)))
    }
}

/// The opening of ways beside the work of the agent, on a thread of its own: whoever is to be reached may
/// take long, or never answer.
final class WayOpening: Sendable {
    // A transport belongs to one thread at a time: the opening thread made it and touches it no more once it
    // is here, and whoever takes it out is its only owner from then on. The lock is the memory barrier that
    // libzmq asks for when a socket goes to another thread.
    private struct Box: @unchecked Sendable {
        let result: Result<[OpenedWay], MessagingError>
    }

    private struct State {
        var box: Box?
        var isAbandoned = false
    }

    private let state = Mutex(State())
    private let wakeUp: WakeUp

    /// Opens the first with the subscriptions, and others beside it, which are only spoken on.
    init(
        _ transport: Transport, beside others: [Transport], by openers: WayOpeners,
        topics: Set<String>, isPublishing: Bool
    ) throws(MessagingError) {
        wakeUp = try threads { () throws(ThreadError) in try WakeUp() }
        _ = try threads { () throws(ThreadError) in
            try DedicatedThread(named: "way-opening") { [self] in
                var ways: [OpenedWay] = []
                do throws(MessagingError) {
                    for other in others {
                        ways.append(try .open(other, by: openers, topics: []))
                    }
                    ways.append(
                        try .open(
                            transport, by: openers, topics: topics, isPublishing: isPublishing))
                    finish(.success(ways))
                } catch {
                    for way in ways { way.transport.close() }
                    finish(.failure(error))
                }
            }
        }
    }

    private func finish(_ result: Result<[OpenedWay], MessagingError>) {
        let box = Box(result: result)
        let isAbandoned = state.withLock { state in
            if !state.isAbandoned { state.box = box }
            return state.isAbandoned
        }
        if isAbandoned, case .success(let ways) = box.result {
            for way in ways { way.transport.close() }
        }
        wakeUp.signal()
    }

    /// Readable when it has come to an end.
    var pollItem: PollItem { .fileDescriptor(wakeUp.descriptor) }

    /// What came of it; nil as long as nothing has.
    func take() -> Result<[OpenedWay], MessagingError>? {
        let box = state.withLock { state in
            defer { state.box = nil }
            return state.box
        }
        return box?.result
    }

    /// Nobody wants it any more; what comes of it is closed.
    func abandon() {
        let box = state.withLock { state in
            state.isAbandoned = true
            defer { state.box = nil }
            return state.box
        }
        if case .success(let ways)? = box?.result {
            for way in ways { way.transport.close() }
        }
    }
}

/// Closes a way beside the work of the agent: a connection that ends waits for its last bytes, and its threads.
enum WayClosing {
    // The only reference to the transport is given to the thread that closes it, which starts after it was
    // made; nobody else touches it any more.
    private struct Box: @unchecked Sendable {
        let transport: any AgentTransport
    }

    static func close(_ transport: any AgentTransport) {
        let box = Box(transport: transport)
        do throws(ThreadError) {
            _ = try DedicatedThread(named: "way-closing") { box.transport.close() }
        } catch {
            transport.close()
        }
    }
}
