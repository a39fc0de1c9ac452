internal import Glibc
public import JSON
public import ZeroMQ

/// A child's end of the control plane, owned by the child's main loop.
///
/// ```swift
/// var control = try ControlClient(
///     endpoint: endpoint, name: "capture", incarnation: 1, role: "agent", in: context)
/// try control.ready(endpoints: [:])
/// // poll `control.pollItem`, then:
/// while let command = try control.next() {
///     try control.answer(command.id, result: [:])
/// }
/// ```
public struct ControlClient: ~Copyable {
    private var socket: Socket
    private let child: ChildID
    /// Messages from the orchestrator that could not be read.
    public private(set) var malformed = 0

    /// Connects to the orchestrator; returns before it is known to be there.
    public init(
        endpoint: String, name: String, incarnation: UInt32, role: String, in context: Context
    ) throws(ControlError) {
        let child = ChildID(role: role, name: name, incarnation: incarnation)
        do throws(ZeroMQError) {
            // The answer to `stop` is sent right before the process ends, hence the linger.
            var socket = try Socket(
                .dealer, in: context,
                options: SocketOptions(routingID: child.routingID, linger: .seconds(1)))
            try socket.connect(to: endpoint)
            self.socket = socket
        } catch {
            throw .socket(error)
        }
        self.child = child
    }

    /// Says that this child can be used, and where it is reached.
    public mutating func ready(endpoints: [String: String]) throws(ControlError) {
        try send(
            .ready(
                name: child.name, role: child.role, incarnation: child.incarnation, pid: getpid(),
                endpoints))
    }

    /// The next command, if one is there.
    ///
    /// Messages that cannot be read are counted, reported to the orchestrator and passed over.
    public mutating func next() throws(ControlError) -> Command? {
        while true {
            let frames: [[UInt8]]?
            do throws(ZeroMQError) {
                frames = try socket.receive()
            } catch {
                throw .socket(error)
            }
            guard let frames else { return nil }
            do throws(ControlError) {
                guard frames.count == 1 else { throw .malformed("\(frames.count) frames") }
                return try ControlCodec.command(frames[0])
            } catch {
                malformed += 1
                try event(
                    "malformed", ["reason": .string(error.description), "count": Value(malformed)])
            }
        }
    }

    /// Answers a command: done, with this result.
    public mutating func answer(_ id: UInt64, result: Value) throws(ControlError) {
        try send(.answer(id: id, .success(result)))
    }

    /// Answers a command: not done, for this reason.
    public mutating func fail(_ id: UInt64, error: String) throws(ControlError) {
        try send(.answer(id: id, .failure(.init(reason: error))))
    }

    /// Says that something happened which nobody asked for.
    public mutating func event(
        _ name: String, _ fields: [String: Value] = [:]
    ) throws(ControlError) {
        try send(.event(name: name, fields: fields))
    }

    /// The control socket as something to wait for.
    public var pollItem: PollItem { socket.pollItem() }

    private mutating func send(_ message: ChildMessage) throws(ControlError) {
        let result: SendResult
        do throws(ZeroMQError) {
            result = try socket.send([ControlCodec.encode(message)])
        } catch {
            throw .socket(error)
        }
        guard result == .sent else { throw .full("the orchestrator") }
    }
}
