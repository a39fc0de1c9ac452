internal import Moves
internal import Wire

/// A registered agent: where it lives, and what waits for it.
final class Peer: Way {
    let name: String
    let routingID: [UInt8]
    let wire: BranchConfiguration.AgentWire
    /// Whether it records for itself; otherwise what passes here is recorded here.
    let keepsHistory: Bool
    /// Stands for the agent in the statistics.
    let number: Int
    var transport: Transport
    /// Raised with each move; a command of an earlier one comes too late.
    var epoch: UInt64 = 0
    var outlet: Outlet
    /// What came for the agent since a move began; nil when none is under way.
    var held: ParcelQueue?
    /// A release is under way.
    var isReleasing = false
    /// Decides where the agent lives, while it is being decided.
    var owner: RouteOwner?
    /// The move of which it is being asked whether all has gone on that the agent sent before.
    var settling: (epoch: UInt64, since: ContinuousClock.Instant)?
    /// At which step of the next decision the process is to be stopped.
    var haltAt: MoveDecisionStep?
    /// Whether copies may still come here of what a moved agent has from NATS itself.
    var isLeaving = false
    /// Whether the agent ever said anything on ZeroMQ.
    var wasAttached = false
    /// Whether the ROUTER knows it now, as far as was seen.
    var isReachable = true
    var incarnation: UInt32 = 0
    /// Whether its hello said that it takes batches.
    var saidBatches = false
    private let isBatchTaker: Bool
    /// Whether the bridge is subscribed to `agent.<name>.>`.
    var isListening = false
    /// Branches that it has sent to since its last marker.
    var linksUsed: Set<String> = []
    /// Whether something of it went to NATS since its last marker.
    var usedNATS = false
    /// The ROUTER's connection to it, where it keeps no history and has said something.
    var connection: Int32?
    /// Whether it was handed messages by that connection.
    var wasHanded = false
    /// The ROUTER's connection to it by which it said hello.
    var seat: Int32?
    /// Whether it has, or had until `beatLost`, a connection on which heartbeats run.
    var isBeating = false
    var beatLost: ContinuousClock.Instant?
    /// By when the first heartbeat is due, where its hello said that there will be some.
    var beatDue: ContinuousClock.Instant?
    var stuck: Stuck?
    var silentSince: ContinuousClock.Instant?
    /// Whether it sends no more to whom it is asked not to send to.
    var heedsPauses = false
    /// Whether it was told to pause, or to go on, since its hello.
    var wasAskedToPause = false
    /// Not to be asked to say hello again before.
    var nextAsk = ContinuousClock.now
    /// How often a connection ended by which it had been handed messages, outside of moves.
    var disconnects = 0
    /// Messages that were handed to it over NATS since it lives there, or that it got there itself.
    var handed = 0
    /// Sequences of flows to this agent whose sender carries none and came over NATS.
    var foreignSequences: [Flow: UInt64] = [:]

    /// Whether a batch goes to it as it is.
    ///
    /// Not where its envelopes are recorded here one by one. On NATS nobody says hello: there the
    /// topology says it.
    var takesBatches: Bool {
        keepsHistory && (transport == .zmq ? saidBatches : isBatchTaker)
    }

    /// Whether it may be there without having said so.
    ///
    /// An agent that speaks only the seed's wire never says hello, and one that did before the proxy
    /// was restarted does not do so again: they are tried.
    private let mayBeSilent: Bool

    init(
        _ agent: BranchConfiguration.Agent, number: Int, limits: QueueLimits, isRestarted: Bool
    ) {
        mayBeSilent = agent.wire == .json || isRestarted
        name = agent.name
        routingID = Array(agent.name.utf8)
        wire = agent.wire
        keepsHistory = agent.keepsHistory && agent.wire == .frames
        self.number = number
        isBatchTaker = agent.takesBatches
        transport = agent.transport
        outlet = Outlet(limits: limits)
    }

    /// Whether a content for it can go straight into the ROUTER: nothing waits before it, and
    /// nothing is to be done with it but to send it.
    var takesAtOnce: Bool {
        transport == .zmq && keepsHistory && held == nil && isReady && outlet.isOpen
    }

    var isThere: Bool { isReady && isReachable && held == nil }

    /// Whether sending to it makes sense now.
    var isReady: Bool { wasAttached || mayBeSilent }
}
