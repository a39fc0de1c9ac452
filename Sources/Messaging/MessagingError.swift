public import NATS
public import Recording
public import SharedMemory
internal import Threads
public import Wire
public import ZeroMQ

/// Why something could not be said or heard.
public struct MessagingError: Error, Hashable, Sendable {
    /// What was being attempted.
    public enum Attempt: Hashable, Sendable {
        case attach(String)
        case send(Address, type: String)
        case subscribe(String)
        case unsubscribe(String)
        case receive
        case request(String, type: String)
        case sendCloud(bytes: Int, pool: String)
        case readCloud(Identity)
        case record
        case restore
        case shadow
        case drain
    }

    /// Why it failed.
    public enum Reason: Hashable, Sendable {
        /// The name or topic is not legal on every wire.
        case illegalName(String)
        /// More than this transport carries in one envelope.
        case oversize(bytes: Int, limit: Int)
        /// The way was full, or its other end away, for the whole time.
        case noRoom(waited: Duration)
        /// No answer within the time.
        case timeout(Duration)
        /// The branch has no such agent.
        case notRegistered
        /// No topic proxy serves the topic.
        case noTopicProxy
        /// The client has no second lane.
        case noShadow
        /// The client was closed or drained.
        case closed
        /// The state is not what `state` wrote.
        case malformedState(String)
        /// libzmq's reason.
        case zeroMQ(ZeroMQError)
        /// libnats's reason.
        case nats(NATSError)
        /// The history's reason.
        case history(HistoryError)
        /// The mesh has no such shared-memory pool.
        case noPool(String)
        /// No slot was free for the whole time.
        case poolFull(String, waited: Duration)
        /// No slot, and too much for a message.
        case noWay(shortage: String, bytes: Int, limit: Int)
        /// The content says of no content where it is.
        case noDescriptor
        /// As many connections as there may be are in use.
        case tooManyConnections(Int)
        /// As many names as there may be are sent in already.
        case tooManySenders(Int)
        /// The agent's way sends in its own name alone.
        case sendsForItself
        /// The way was made for sending alone.
        case sendsOnly
        /// The content was read before, and may be written to again since.
        case alreadyRead
        /// The shared memory's reason.
        case sharedMemory(SharedMemoryError)
        /// A system call's reason.
        case system(String)
    }

    /// What was being attempted.
    public let attempt: Attempt
    /// Why it failed.
    public let reason: Reason

    /// Makes an error.
    public init(_ attempt: Attempt, _ reason: Reason) {
        self.attempt = attempt
        self.reason = reason
    }
}

extension MessagingError {
    /// Whether the agent cannot go on: more than one envelope is concerned.
    public var isFatal: Bool {
        switch reason {
        case .history, .zeroMQ, .system, .closed: true
        default: false
        }
    }
}

extension MessagingError {
    var isPoolFull: Bool {
        if case .poolFull = reason { true } else { false }
    }
}

extension MessagingError: CustomStringConvertible {
    /// The attempt, the reason, and a remedy where there is one, on one line.
    public var description: String {
        guard let remedy else { return "\(attempt): \(reason)" }
        return "\(attempt): \(reason). \(remedy)"
    }

    /// What the reader can do about it, where there is something to do.
    public var remedy: String? {
        switch reason {
        case .illegalName:
            "Names are letters, digits, '_' and '-', at most 64; topics are such names joined by dots."
        case .oversize:
            "Raise the server's max_payload, send the content through shared memory, or send it in "
                + "chunks."
        case .noRoom: "Is the receiver, or the proxy on the way, alive and reading?"
        case .notRegistered: "Declare the agent in this branch of the topology."
        case .noTopicProxy: "Give a topic proxy of the topology a prefix of it."
        case .sendsForItself: "Let an agent on ZeroMQ, in a branch of ours, speak for others."
        case .tooManyConnections: "Let senders rest between messages, or allow more."
        case .noPool: "Declare it under 'pools' of the topology."
        case .poolFull:
            "Give the pool more slots or a longer 'wait', or let it say 'when_full: direct'."
        case .noWay: "Give the pool more or larger slots, or raise the server's max_payload."
        case .alreadyRead: "Keep a cloud that is needed twice."
        case .sharedMemory(let error): error.remedy
        case .malformedState: "Start without a state; repeats across the restart are then possible."
        default: nil
        }
    }
}

extension MessagingError.Attempt: CustomStringConvertible {
    /// The attempt, as the start of a sentence.
    public var description: String {
        switch self {
        case .attach(let place): "could not attach to \(place)"
        case .send(let address, let type): "could not send '\(type)' to \(address)"
        case .subscribe(let topic): "could not subscribe to '\(topic)'"
        case .unsubscribe(let topic): "could not unsubscribe from '\(topic)'"
        case .receive: "could not receive"
        case .request(let agent, let type): "could not get an answer to '\(type)' from \(agent)"
        case .sendCloud(let bytes, let pool):
            "could not send a cloud of \(bytes) bytes through the pool '\(pool)'"
        case .readCloud(let identity): "could not read the cloud of \(identity)"
        case .record: "could not record"
        case .restore: "could not restore the receiver's marks"
        case .shadow: "could not change the shadow lane"
        case .drain: "could not drain"
        }
    }
}

extension MessagingError.Reason: CustomStringConvertible {
    /// The reason, as part of a sentence.
    public var description: String {
        switch self {
        case .illegalName(let name): "'\(name)' is not a legal name"
        case .oversize(let bytes, let limit):
            "\(bytes) bytes with headers, and the server carries at most \(limit) (max_payload)"
        case .noRoom(let waited): "no room on the way for \(waited)"
        case .timeout(let time): "no answer within \(time)"
        case .notRegistered: "the branch has no such agent"
        case .noTopicProxy: "no topic proxy serves it"
        case .noShadow: "the client listens on no second lane"
        case .closed: "the client is closed"
        case .malformedState(let what): "the state is malformed: \(what)"
        case .zeroMQ(let error): error.description
        case .nats(let error): error.description
        case .history(let error): error.description
        case .tooManyConnections(let limit): "all of the \(limit) connections are in use"
        case .tooManySenders(let limit): "\(limit) names are sent in already"
        case .sendsForItself: "its way into the mesh is for its own name alone"
        case .sendsOnly: "it was made for sending alone"
        case .noPool(let name): "the mesh has no pool '\(name)'"
        case .poolFull(let name, let waited):
            "no slot of the pool '\(name)' was free for \(waited)"
        case .noWay(let shortage, let bytes, let limit):
            "\(shortage), and inside of a message it has \(bytes) bytes, of which the server "
                + "carries at most \(limit) (max_payload)"
        case .noDescriptor: "the content is no descriptor of a cloud"
        case .alreadyRead: "its content was read already, which is possible once"
        case .sharedMemory(let error): error.detail
        case .system(let text): text
        }
    }
}

/// Calls into libzmq, and says what was being attempted when it fails.
func zeroMQ<Result>(
    _ attempt: @autoclosure () -> MessagingError.Attempt,
    _ call: () throws(ZeroMQError) -> Result
) throws(MessagingError) -> Result {
    do throws(ZeroMQError) {
        return try call()
    } catch {
        throw MessagingError(attempt(), .zeroMQ(error))
    }
}

/// Calls into libnats, and says what was being attempted when it fails.
func nats<Result>(
    _ attempt: @autoclosure () -> MessagingError.Attempt,
    _ call: () throws(NATSError) -> Result
) throws(MessagingError) -> Result {
    do throws(NATSError) {
        return try call()
    } catch {
        throw MessagingError(attempt(), .nats(error))
    }
}

/// Makes a thread, or what wakes one, and says what that was for when it fails.
func threads<Result>(
    _ call: () throws(ThreadError) -> Result
) throws(MessagingError) -> Result {
    do throws(ThreadError) {
        return try call()
    } catch {
        throw MessagingError(.receive, .system("\(error.attempt): \(error.reason)"))
    }
}
