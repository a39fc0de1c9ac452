public import Wire

/// Where an agent lives, and since which decision.
public struct Route: Sendable, Hashable {
    /// How it is attached.
    public var transport: Transport
    /// Raised with each decision about it, whichever way it went.
    public var epoch: UInt64

    /// Names a route.
    public init(_ transport: Transport, epoch: UInt64) {
        self.transport = transport
        self.epoch = epoch
    }
}

/// How long the steps of a move may take, in nanoseconds.
public struct MoveDeadlines: Sendable, Hashable {
    /// A step that takes longer is decided by who may decide it.
    public var step: UInt64
    /// After this long without an answer the same is asked again.
    public var again: UInt64

    /// Two seconds, and a tenth of one.
    public init(step: UInt64 = 2_000_000_000, again: UInt64 = 100_000_000) {
        self.step = step
        self.again = again
    }
}
