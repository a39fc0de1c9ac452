public import Analysis
public import JSON
internal import Routing
public import Wire

/// What happens to a topology: steps in order, the limits they are judged by, what is expected.
public struct Scenario: Sendable {
    /// The name, which the run directory carries: given, or the file's without its ending.
    public var name: String
    /// The path of the topology's file.
    public var topologyPath: String
    /// What makes the load's contents; a run may be given another.
    public var seed: UInt64
    /// What the end must be for the exit code 0; without it, the verdict `pass`.
    public var expectation: Expectation?
    /// The limits of every step that gives none of its own.
    public var limits: Limits
    /// How much memory agents and proxies may take; `nil` where nothing is promised.
    public var memory: MemoryPromise?
    /// How agents are moved that can be moved while they go on.
    public var strategy: MoveReport.Strategy
    /// What a moved agent's latency must be like beside its own before; nil where it is not judged.
    public var judge: LatencyRule?
    /// What an inconclusive step does.
    public var inconclusive: InconclusivePolicy
    /// The longest that one step may wait for its load.
    public var loadTimeout: Duration
    /// The longest that a step waits, without any progress, for what is still on its way.
    public var drainTimeout: Duration
    /// The steps, in order.
    public var steps: [Step]

    /// What happens after a step that could not be judged.
    public enum InconclusivePolicy: String, Sendable, CaseIterable {
        case rollback
        case hold
        case `continue`
    }
}

extension Scenario {
    /// One step.
    public struct Step: Sendable {
        /// What the step does.
        public var action: Action
        /// What the agents send during the step.
        public var load: [Load]
        /// What goes wrong during the step.
        public var faults: [ScheduledFault]
        /// The step's own limits; `nil` takes the scenario's.
        public var limits: Limits?
        /// The fewest envelopes without which nothing is judged.
        public var minimumSamples: Int
        /// The line of the step in its file.
        public var line: Int
    }

    /// What a step does.
    public enum Action: Sendable, Equatable {
        /// Load on the transports as they are.
        case baseline
        /// Every envelope over both transports inside one mesh; the shadow's copies are compared.
        case dual
        /// The same load through a ZeroMQ mesh and a NATS mesh; their outputs are compared.
        case twin
        /// One agent, or all replicas of a group, moved to NATS.
        case canary(agent: String)
        /// The rest, wave by wave, each judged.
        case rollout(Rollout)
        /// All on NATS; for so long the load goes on before it is final.
        case cutover(fallback: Duration)
        /// Nothing but the load.
        case load
        /// Time passes under the load.
        case hold(Duration)
        /// Somebody is asked whether to go on.
        case ask(Question)
        /// Something goes wrong, and stays so until it is healed.
        case fault(ScheduledFault)
        /// What went wrong by `fault` goes on.
        case heal
        /// Every moved agent back, in reverse order.
        case rollback
        /// Some agents there, or there and back, under the step's whole load.
        case move(Relocation)
        /// Everything recorded so far, looked at by checkers.
        case check(Check)

        /// The word in the file and in the verdict.
        public var kind: String {
            switch self {
            case .baseline: "baseline"
            case .dual, .twin: "parallel_run"
            case .canary: "canary"
            case .rollout: "rollout"
            case .cutover: "cutover"
            case .rollback: "rollback"
            case .load: "load"
            case .hold: "hold"
            case .ask: "pause_for_person"
            case .fault: "fault"
            case .heal: "heal"
            case .move: "move"
            case .check: "check"
            }
        }
    }

    /// Who is moved after whom.
    public struct Rollout: Sendable, Equatable {
        /// Agents or groups in this order; empty means all that are not moved yet.
        public var order: [String]
        /// How many are moved before the next are.
        public var wave: Int
        /// Whether those with the least traffic so far come first, instead of the order.
        public var isByTraffic: Bool

        /// Waves; without more words all that are not moved yet, one by one.
        public init(order: [String] = [], wave: Int = 1, isByTraffic: Bool = false) {
            self.order = order
            self.wave = wave
            self.isByTraffic = isByTraffic
        }
    }

    /// What a person is asked.
    public struct Question: Sendable, Equatable {
        /// The words.
        public var text: String
        /// How long an answer is waited for.
        public var timeout: Duration
        /// Whether it goes on where nobody is there, or answers.
        public var isContinuedUnattended: Bool
    }

    /// Which agents go where.
    public struct Relocation: Sendable, Equatable {
        /// Agents, or groups of replicas; empty means all that can run on both transports.
        public var agents: [String]
        /// Where they end; `nil` is where they were.
        public var target: Transport?
        /// How often each goes to the other transport and back before.
        public var roundTrips: Int
        /// Whether all go at once, instead of one after the other.
        public var isTogether: Bool
        /// Whether the load ends when all have moved, however much of it is left.
        public var endsLoad: Bool
    }

    /// Which checkers look at what was recorded.
    public struct Check: Sendable, Equatable {
        /// By their names, as `synmesh judge` knows them.
        public var checkers: [String]
        /// How long a command may take.
        public var timeout: Duration
        /// Where commands are run; nil in the caller's folder.
        public var directory: String?
    }

    /// What one agent is told to send; its kind says what the arguments mean.
    public struct Load: Sendable, Equatable {
        /// The agent or group of replicas.
        public var agent: String
        /// How many messages, to each of its targets.
        public var count: Int
        /// Messages a second; `nil` is as fast as it goes.
        public var rate: Double?
        /// Bytes of one content, where the kind can choose.
        public var size: Int?
        /// The message type, where the kind can choose: to a `ping` a probe answers `echo`.
        public var type: String?
        /// A recording of what an agent of this name sent, which is sent again.
        public var recording: Recorded?

        /// A recording as a load.
        public struct Recorded: Sendable, Equatable {
            /// The recording's place, and once it was looked at the histories in which the agent is.
            public var paths: [String]
            /// How many times as fast as then; nil is as fast as there is room.
            public var speed: Double?
            /// Up to so long after the recording's first message; nil for all of it.
            public var until: Duration?
            /// When the recording's first message was sent, in nanoseconds.
            public var origin: UInt64 = 0
        }

        /// What an agent is told to send.
        public init(
            agent: String, count: Int, rate: Double? = nil, size: Int? = nil, type: String? = nil
        ) {
            self.agent = agent
            self.count = count
            self.rate = rate
            self.size = size
            self.type = type
        }

        /// The arguments of the `load` command for messages `start`, `start + 1`, ….
        public func arguments(start: Int, count: Int) -> Value {
            var members: [String: Value] = ["count": Value(count), "start": Value(start)]
            if let rate { members["rate"] = .double(rate) }
            if let size { members["size"] = Value(size) }
            if let type { members["type"] = .string(type) }
            if let recording {
                members["recording"] = .array(recording.paths.map(Value.string))
                members["origin_ns"] = .string(String(recording.origin))
                members["speed"] = recording.speed.map(Value.double)
            }
            return .object(members)
        }
    }

    /// A step of a move at which something can be made to go wrong.
    public enum MoveStep: String, Sendable, CaseIterable {
        /// The agent opens its new way.
        case opening
        /// It has asked its home.
        case asking
        /// It takes what is left on NATS.
        case draining
        /// It has stopped to send, and said where its old way ends.
        case marking
        /// Its home has asked NATS to confirm.
        case collecting
        /// Its home's registry says what was decided.
        case registered
        /// Its home has answered.
        case answered

        /// Whether it is a step of the home proxy, not of the agent.
        var isOfHome: Bool { MoveDecisionStep(rawValue: rawValue) != nil }

        /// Whether a move there has this step.
        func isPart(ofMoveTo target: Transport) -> Bool { self != .draining || target == .zmq }
    }

    /// One thing that goes wrong, and its end.
    public struct ScheduledFault: Sendable, Equatable {
        /// What is done to the process.
        public enum Kind: String, Sendable, CaseIterable {
            /// SIGKILL. The restart policy of the part is its heal, where it has one.
            case kill
            /// SIGSTOP, and SIGCONT after `duration`.
            case stop
        }

        /// What is done.
        public var kind: Kind
        /// The agent, branch, topic proxy or server that it is done to.
        public var target: String
        /// From the start of the step's load.
        public var after: Duration
        /// How long it lasts, for a fault that we end.
        public var duration: Duration?

        /// Names a fault.
        public init(
            kind: Kind, target: String, after: Duration, duration: Duration? = nil
        ) {
            self.kind = kind
            self.target = target
            self.after = after
            self.duration = duration
        }

        /// At which step of a move it happens, instead of at a time; nil is at its time.
        public var step: MoveStep?
    }
}
