/// All processes of one supervisor as a value: their lives, and the groups that they live in.
///
/// Pure, like `Lifecycle`: the supervisor's thread performs what comes out of it.
struct Population: Hashable, Sendable {
    /// One thing to be done about one process.
    struct Step: Hashable, Sendable {
        let name: String
        let action: Lifecycle.Action
    }

    /// A group that is started again: all of it must have ended before any of it starts.
    private struct Renewal: Hashable, Sendable {
        let group: String
        /// Who takes part, with the epoch in which that was decided: whoever was told something else
        /// since does not.
        var members: [String: UInt64]
        var startsAt: UInt64
    }

    private(set) var lives: [String: Lifecycle] = [:]
    /// The names in the order in which they came, which is that of starts that are due together.
    private var order: [String] = []
    private var groups: [String: GroupRule] = [:]
    private var groupOf: [String: String] = [:]
    private var groupRestarts: [String: [UInt64]] = [:]
    private var renewals: [Renewal] = []
    /// How long a member of a group may take to end.
    private var graces: [String: Duration] = [:]

    /// Adds a process that is not there.
    mutating func add(_ name: String, grace: Duration = .seconds(5), seed: UInt64 = 0) {
        guard lives[name] == nil else { return }
        lives[name] = Lifecycle(seed: seed)
        graces[name] = grace
        order.append(name)
    }

    /// Forgets a process that is not there.
    mutating func remove(_ name: String) {
        guard lives[name]?.hasChild == false else { return }
        lives[name] = nil
        order.removeAll { $0 == name }
    }

    /// Says how long a process may take to end.
    mutating func setGrace(_ grace: Duration, of name: String) { graces[name] = grace }

    /// Makes processes a group; a process is in one at most.
    mutating func group(_ rule: GroupRule) {
        groups[rule.name] = rule
        for member in rule.members { groupOf[member] = rule.name }
    }

    /// Whether all of them have ended for good.
    var allEnded: Bool { lives.values.allSatisfy { $0.phase == .ended } }

    /// Whether there is a group whose leader has ended.
    var hasLeaderless: Bool {
        lives.values.contains { if case .leaderless = $0.phase { true } else { false } }
    }

    /// When something is due without any event.
    var deadline: UInt64? { lives.values.lazy.compactMap(\.deadline).min() }

    /// Takes note of what happened to a process, and says what is to be done about which.
    mutating func take(
        _ event: Lifecycle.Event, for name: String, at now: UInt64
    ) -> [Step] {
        apply(event, name, now) + finishRenewals(now)
    }

    /// What has become due; ask again until there is nothing, since a start may fail at once.
    mutating func due(at now: UInt64) -> [Step] {
        var steps: [Step] = []
        for name in order {
            guard let deadline = lives[name]?.deadline, deadline <= now else { continue }
            steps += apply(.due, name, now)
        }
        return steps + finishRenewals(now)
    }

    private mutating func apply(
        _ event: Lifecycle.Event, _ name: String, _ now: UInt64
    ) -> [Step] {
        guard let actions = lives[name]?.take(event, at: now) else { return [] }
        var steps = actions.map { Step(name: name, action: $0) }
        for action in actions {
            guard case .announceRestart(let delay) = action, let group = groupOf[name],
                let rule = groups[group], rule.strategy != .oneForOne
            else { continue }
            steps += renew(rule, because: name, startsAt: now + delay.nanoseconds, now)
        }
        return steps
    }

    // MARK: Groups

    private mutating func renew(
        _ rule: GroupRule, because name: String, startsAt: UInt64, _ now: UInt64
    ) -> [Step] {
        let period = rule.period.nanoseconds
        var recent = (groupRestarts[rule.name] ?? []).filter { now - $0 <= period }
        guard recent.count < rule.maxRestarts else { return giveUp(rule, because: name, now) }
        recent.append(now)
        groupRestarts[rule.name] = recent
        let first =
            rule.strategy == .oneForAll
            ? rule.members.startIndex
            : rule.members.firstIndex(of: name) ?? rule.members.startIndex
        var steps: [Step] = []
        var members: [String: UInt64] = [:]
        for member in rule.members[first...] {
            guard let life = lives[member], life.desire == .up, life.phase != .ended else {
                continue
            }
            let grace = graces[member] ?? .seconds(5)
            steps += apply(.halt(group: rule.name, grace: grace), member, now)
            members[member] = life.epoch
        }
        if let index = renewals.firstIndex(where: { $0.group == rule.name }) {
            renewals[index].members.merge(members) { _, new in new }
            renewals[index].startsAt = max(renewals[index].startsAt, startsAt)
        } else {
            renewals.append(Renewal(group: rule.name, members: members, startsAt: startsAt))
        }
        return steps
    }

    /// The intensity is exceeded: the whole group ends, and whoever watches hears of it.
    private mutating func giveUp(
        _ rule: GroupRule, because name: String, _ now: UInt64
    ) -> [Step] {
        renewals.removeAll { $0.group == rule.name }
        let count = rule.maxRestarts
        let reason =
            "its group '\(rule.name)' was started again \(count) times within \(rule.period)"
        var steps = [Step(name: name, action: .giveUp(reason))]
        for member in rule.members where lives[member] != nil {
            steps += apply(.stop(grace: graces[member] ?? .seconds(5)), member, now)
        }
        return steps
    }

    /// Starts the groups of which nothing is there any more.
    private mutating func finishRenewals(_ now: UInt64) -> [Step] {
        guard !renewals.isEmpty else { return [] }
        var steps: [Step] = []
        for renewal in renewals {
            let concerned = renewal.members.filter { lives[$0.key]?.epoch == $0.value }.keys
            guard concerned.allSatisfy({ lives[$0]?.hasChild == false }) else { continue }
            renewals.removeAll { $0.group == renewal.group }
            let startsAt = max(renewal.startsAt, now)
            for member in groups[renewal.group]?.members ?? [] where concerned.contains(member) {
                steps += apply(.resume(at: startsAt), member, now)
            }
        }
        return steps
    }
}
