/// An injected fault as the checker sees it: when it held and what it touched.
///
/// An envelope's deviation is explained by a fault when the envelope was alive while the fault held
/// (from its sending until it was observed, or for the scope's `flight` when it never was), the
/// fault touches its source or its receiver, and the deviation is one that this kind of fault can
/// cause. A killed process loses envelopes; it does not alter them.
public struct FaultWindow: Sendable, Hashable {
    /// Whose envelopes a fault touches.
    public enum Reach: Sendable, Hashable {
        /// All of them: a branch, a topic proxy or a NATS server that everything may cross.
        case everything
        /// Those that one of these agents sends or receives.
        case agents(Set<String>)

        func covers(source: String, receiver: String) -> Bool {
            switch self {
            case .everything: true
            case .agents(let names): names.contains(source) || names.contains(receiver)
            }
        }
    }

    /// The name of the fault in the plan.
    public let id: String
    /// What it does, for example `kill` or `stop`.
    public let kind: String
    /// The process that it is done to.
    public let target: String
    /// When it began, on the run's clock.
    public let started: UInt64
    /// When it was over, on the run's clock; `nil` while it is not.
    public let healed: UInt64?
    /// Whose envelopes it touches.
    public let reach: Reach
    /// Which deviations it can cause.
    public let explains: Set<Deviation>

    /// Describes a fault.
    ///
    /// `explains` defaults to what the kind can cause: see `deviations(causedBy:)`.
    public init(
        id: String, kind: String, target: String, started: UInt64, healed: UInt64?, reach: Reach,
        explains: Set<Deviation>? = nil
    ) {
        self.id = id
        self.kind = kind
        self.target = target
        self.started = started
        self.healed = healed
        self.reach = reach
        self.explains = explains ?? Self.deviations(causedBy: kind)
    }

    /// What a kind of fault can cause: `corrupt` alters content, `delay` only delays, everything
    /// else can lose, repeat, delay and reorder, and alters nothing.
    public static func deviations(causedBy kind: String) -> Set<Deviation> {
        switch kind {
        case "corrupt": [.corrupted]
        case "delay": [.late, .reordered]
        default: [.lost, .duplicated, .reordered, .late]
        }
    }

    func held(during life: ClosedRange<UInt64>) -> Bool {
        life.upperBound >= started && life.lowerBound <= healed ?? .max
    }
}
