/// The life of one process as a value: what happened goes in, what is to be done comes out.
///
/// It reads no clock and touches no kernel, so that thousands of random lives can be held against a
/// model. Its owner performs the actions in their order and says what came of them.
struct Lifecycle: Hashable, Sendable {
    /// What somebody wants of the process, as of the latest epoch.
    enum Desire: Hashable, Sendable {
        case down
        case up
    }

    /// Where in its life it is; each case holds what is known then.
    enum Phase: Hashable, Sendable {
        /// Nothing is there, and nothing is going to be.
        case ended
        /// Nothing is there until its time has come.
        case waiting(until: UInt64)
        /// Nothing is there until its group has ended, too.
        case halted
        /// A child was asked for, and nobody has said yet whether there is one.
        case starting
        case running
        /// The leader has ended and is kept as a zombie, so that its group's number stays taken;
        /// the rest of the group may still end by itself.
        case leaderless(ExitCause, until: UInt64)
        /// The group is dead; what it left in its pipe is read.
        case draining(ExitCause, until: UInt64)
    }

    /// Why a running child is being ended.
    enum Reason: Hashable, Sendable {
        case asked
        case group(String)
        case probe(String)
    }

    struct Ending: Hashable, Sendable {
        var reason: Reason
        var killAt: UInt64
        var hadGrace: Bool
        var wasKilled = false
    }

    enum Event: Hashable, Sendable {
        /// It is wanted.
        case start
        /// It is not wanted any more.
        case stop(grace: Duration)
        /// It is wanted, but a new one.
        case restart(grace: Duration)
        /// Its group is started again: it is to end and wait.
        case halt(group: String, grace: Duration)
        /// Its group has ended: it may start.
        case resume(at: UInt64)
        /// It was asked to end by other means.
        case expectExit
        case spawned(RestartPolicy)
        case spawnFailed(String)
        case leaderEnded(ExitCause, isGroupAlive: Bool)
        case groupEnded
        case drained
        case probeFailed(String, grace: Duration)
        /// Time has passed.
        case due
    }

    enum Action: Hashable, Sendable {
        /// Make a child, and say `spawned` or `spawnFailed`.
        case spawn(isRestart: Bool)
        /// Ask the group to end.
        case terminate
        /// Kill the group.
        case kill
        /// Kill what is left of the group and read its output to the end, then say `drained`.
        case drain(killsGroup: Bool)
        /// Reap the leader, and tell how it ended.
        case conclude(Conclusion)
        /// Tell that it will be started again.
        case announceRestart(after: Duration)
        /// Tell that it will not be started again, although its policy wants it.
        case giveUp(String)
    }

    /// What is known of an end.
    struct Conclusion: Hashable, Sendable {
        let cause: ExitCause
        let weAsked: Bool
        let failedProbe: String?
        let wasKilledAfterGrace: Bool
    }

    private(set) var phase = Phase.ended
    private(set) var desire = Desire.down
    /// Raised whenever somebody says what they want: what was decided before that is void.
    private(set) var epoch: UInt64 = 0
    private(set) var incarnation: UInt32
    private(set) var ending: Ending?
    private(set) var expectsExit = false
    private(set) var restarts: [UInt64] = []
    private var startedAt: UInt64 = 0
    private var failures = 0
    private var policy = RestartPolicy.never
    /// A new one is wanted when this one has ended.
    private var comesAgain = false
    /// It waits for its group when it has ended.
    private var haltsAtEnd = false
    private let seed: UInt64

    /// - Parameters:
    ///   - incarnation: The latest one there was; 0: none.
    ///   - seed: What its waits' share of chance follows from.
    init(incarnation: UInt32 = 0, seed: UInt64 = 0) {
        self.incarnation = incarnation
        self.seed = seed
    }

    /// Whether there is a child that has not been reaped.
    var hasChild: Bool {
        switch phase {
        case .ended, .waiting, .halted, .starting: false
        case .running, .leaderless, .draining: true
        }
    }

    /// When something is due without any event.
    var deadline: UInt64? {
        switch phase {
        case .ended, .halted, .starting: nil
        case .waiting(let until): until
        case .running: ending.flatMap { $0.wasKilled ? nil : $0.killAt }
        case .leaderless(_, let until), .draining(_, let until): until
        }
    }

    /// Takes note of what happened, and says what is to be done.
    mutating func take(_ event: Event, at now: UInt64) -> [Action] {
        switch event {
        case .start: start()
        case .stop(let grace): stop(grace, now)
        case .restart(let grace): restart(grace, now)
        case .halt(let group, let grace): halt(group, grace, now)
        case .resume(let at): resume(at)
        case .expectExit: expectExit()
        case .spawned(let policy): spawned(policy, now)
        case .spawnFailed(let reason): spawnFailed(reason)
        case .leaderEnded(let cause, let isAlive): leaderEnded(cause, isAlive, now)
        case .groupEnded: groupEnded(now)
        case .drained: drained(now)
        case .probeFailed(let probe, let grace): probeFailed(probe, grace, now)
        case .due: due(now)
        }
    }
}

// MARK: - What somebody wants

extension Lifecycle {
    private mutating func start() -> [Action] {
        epoch += 1
        desire = .up
        guard hasChild || phase == .starting else { return spawn(isRestart: false) }
        // One that runs and is let run is what is wanted.
        switch phase {
        case .starting, .running: if ending != nil || expectsExit { comesAgain = true }
        default: comesAgain = true
        }
        haltsAtEnd = false
        return []
    }

    private mutating func stop(_ grace: Duration, _ now: UInt64) -> [Action] {
        epoch += 1
        desire = .down
        comesAgain = false
        haltsAtEnd = false
        return endChild(.asked, grace, now)
    }

    private mutating func restart(_ grace: Duration, _ now: UInt64) -> [Action] {
        epoch += 1
        desire = .up
        haltsAtEnd = false
        guard hasChild || phase == .starting else { return spawn(isRestart: false) }
        // A second restart meanwhile is the same restart: there is never more than one new child.
        comesAgain = true
        return endChild(.asked, grace, now)
    }

    private mutating func expectExit() -> [Action] {
        epoch += 1
        desire = .down
        comesAgain = false
        haltsAtEnd = false
        expectsExit = true
        if !hasChild, phase != .starting { phase = .ended }
        return []
    }

    private mutating func halt(_ group: String, _ grace: Duration, _ now: UInt64) -> [Action] {
        guard desire == .up else { return [] }
        switch phase {
        case .ended, .halted: return []
        case .waiting:
            phase = .halted
            return []
        case .starting, .running, .leaderless, .draining:
            // A new one comes with the group, not before it.
            comesAgain = false
            haltsAtEnd = true
            return endChild(.group(group), grace, now)
        }
    }

    private mutating func resume(_ at: UInt64) -> [Action] {
        guard phase == .halted else { return [] }
        phase = .waiting(until: at)
        return []
    }

    /// Has what is there end, and nothing come that was going to.
    private mutating func endChild(
        _ reason: Reason, _ grace: Duration, _ now: UInt64
    ) -> [Action] {
        let killAt = now + grace.nanoseconds
        switch phase {
        case .ended, .draining: return []
        case .waiting, .halted:
            phase = .ended
            return []
        case .starting:
            // Acted on as soon as there is a child to end.
            ending = Ending(reason: reason, killAt: killAt, hadGrace: grace > .zero)
            return []
        case .leaderless(let cause, let until):
            phase = .leaderless(cause, until: min(until, killAt))
            return []
        case .running:
            if var current = ending {
                current.killAt = min(current.killAt, killAt)
                // Whoever asks last, a person's word is what an end is attributed to.
                if reason == .asked { current.reason = .asked }
                ending = current
                return []
            }
            ending = Ending(reason: reason, killAt: killAt, hadGrace: grace > .zero)
            return grace > .zero ? [.terminate] : due(now)
        }
    }

    private mutating func probeFailed(
        _ probe: String, _ grace: Duration, _ now: UInt64
    ) -> [Action] {
        guard phase == .running, ending == nil, !expectsExit else { return [] }
        return endChild(.probe(probe), grace, now)
    }
}

// MARK: - What happened

extension Lifecycle {
    private mutating func spawn(isRestart: Bool) -> [Action] {
        incarnation += 1
        phase = .starting
        ending = nil
        expectsExit = false
        comesAgain = false
        haltsAtEnd = false
        return [.spawn(isRestart: isRestart)]
    }

    private mutating func spawned(_ policy: RestartPolicy, _ now: UInt64) -> [Action] {
        guard phase == .starting else { return [] }
        phase = .running
        self.policy = policy
        startedAt = now
        guard let ending else { return [] }
        return ending.hadGrace ? [.terminate] : due(now)
    }

    private mutating func spawnFailed(_ reason: String) -> [Action] {
        guard phase == .starting else { return [] }
        phase = .ended
        desire = .down
        ending = nil
        expectsExit = false
        return [.giveUp(reason)]
    }

    private mutating func leaderEnded(
        _ cause: ExitCause, _ isGroupAlive: Bool, _ now: UInt64
    ) -> [Action] {
        guard phase == .running else { return [] }
        // A wrapper often obeys SIGTERM before what it wraps has: that still has its grace.
        if let ending, !ending.wasKilled, cause != .unknown, isGroupAlive {
            phase = .leaderless(cause, until: ending.killAt)
            return []
        }
        return drain(cause, now)
    }

    private mutating func groupEnded(_ now: UInt64) -> [Action] {
        guard case .leaderless(let cause, _) = phase else { return [] }
        return drain(cause, now)
    }

    private mutating func drain(_ cause: ExitCause, _ now: UInt64) -> [Action] {
        phase = .draining(cause, until: now + 1_000_000_000)
        // Where somebody else reaped it, its group's number may mean a stranger by now.
        return [.drain(killsGroup: cause != .unknown)]
    }

    private mutating func drained(_ now: UInt64) -> [Action] {
        guard case .draining(let cause, _) = phase else { return [] }
        return conclude(cause, now)
    }

    private mutating func due(_ now: UInt64) -> [Action] {
        guard let deadline, deadline <= now else { return [] }
        switch phase {
        case .ended, .halted, .starting: return []
        case .waiting: return spawn(isRestart: true)
        case .running:
            ending?.wasKilled = true
            return [.kill]
        case .leaderless(let cause, _): return drain(cause, now)
        case .draining(let cause, _): return conclude(cause, now)
        }
    }

    private mutating func conclude(_ cause: ExitCause, _ now: UInt64) -> [Action] {
        let isKill = if case .signalled(number: 9, _) = cause { true } else { false }
        let probe: String? = if case .probe(let name) = ending?.reason { name } else { nil }
        let conclusion = Conclusion(
            cause: cause, weAsked: (ending != nil && probe == nil) || expectsExit,
            failedProbe: probe,
            wasKilledAfterGrace: isKill && ending.map { $0.wasKilled && $0.hadGrace } == true)
        phase = .ended
        ending = nil
        expectsExit = false
        return [.conclude(conclusion)] + follow(cause, probeFailed: probe != nil, now)
    }

    /// What comes after an end.
    private mutating func follow(
        _ cause: ExitCause, probeFailed: Bool, _ now: UInt64
    ) -> [Action] {
        guard desire == .up else { return [] }
        if comesAgain { return spawn(isRestart: true) }
        if haltsAtEnd {
            haltsAtEnd = false
            phase = .halted
            return []
        }
        guard policy.wants(after: cause, probeFailed: probeFailed) else {
            desire = .down
            return []
        }
        let period = policy.period.nanoseconds
        restarts.removeAll { now - $0 > period }
        guard restarts.count < policy.maxRestarts else {
            desire = .down
            let count = restarts.count
            return [.giveUp("it \(cause) after \(count) restarts within \(policy.period)")]
        }
        if now - startedAt >= policy.stable.nanoseconds { failures = 0 }
        let delay = policy.delay(failures: failures, chance: chance)
        failures += 1
        restarts.append(now)
        phase = .waiting(until: now + delay.nanoseconds)
        return [.announceRestart(after: delay)]
    }

    /// A number of this incarnation's own (SplitMix64's finish).
    private var chance: UInt64 {
        var mixed = seed &+ UInt64(incarnation) &* 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
