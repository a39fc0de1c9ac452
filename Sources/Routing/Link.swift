internal import ZeroMQ

/// The way to another branch's proxy.
final class Link: Way {
    let name: String
    private(set) var endpoint: String
    private let ownName: String
    private let context: Context
    var socket: Socket
    var outlet: Outlet
    var stuck: Stuck?
    var silentSince: ContinuousClock.Instant?

    static let routingIDPrefix = Array("_branch.".utf8)

    init(
        to name: String, at endpoint: String, from ownName: String, limits: QueueLimits,
        in context: Context
    ) throws(ZeroMQError) {
        self.name = name
        self.endpoint = endpoint
        self.ownName = ownName
        self.context = context
        socket = try Self.open(to: endpoint, from: ownName, in: context)
        outlet = Outlet(limits: limits)
    }

    private static func open(
        to endpoint: String, from ownName: String, in context: Context
    ) throws(ZeroMQError) -> Socket {
        // What the peer has not read when it restarts at the same endpoint stays in the socket.
        var socket = try Socket(
            .dealer, in: context,
            options: SocketOptions(routingID: "_branch.\(ownName)", linger: .seconds(1)))
        try socket.connect(to: endpoint)
        return socket
    }

    /// A link reaches for its proxy by itself, and keeps what it has for it.
    var isThere: Bool { true }

    /// The peer was started again elsewhere.
    func move(to endpoint: String) throws(ZeroMQError) {
        guard endpoint != self.endpoint else { return }
        socket = try Self.open(to: endpoint, from: ownName, in: context)
        self.endpoint = endpoint
    }
}
