internal import DequeModule
public import Wire

/// What every receiver does, always: each envelope of a flow at most once, and in order.
///
/// A receiver cannot know that a sender, or it itself, is being moved from one transport to
/// another, when envelopes come on two ways, twice and in any order. So per flow and incarnation it
/// keeps a mark. In order: deliver. At or below the mark: a repeat, dropped. Ahead: held, for a
/// bounded time and number, until the gap fills, or a notice says that it never will, or the time
/// is up; what comes for a gap that was given up is late, and not delivered. Nothing is silent:
/// every decision is an outcome. A pure value: time is an argument.
public struct Receiver: Sendable {
    /// What is bounded, and by how much.
    public struct Limits: Hashable, Sendable {
        /// The longest that an envelope is held for the ones before it.
        public var time: Duration = .seconds(2)
        /// The longest that one is held of a flow of the class `at_least_once`, whose sender sends
        /// what is missing again.
        public var patience: Duration = .seconds(60)
        /// The most envelopes that are held, all flows together.
        public var messages = 10_000
        /// The most content that is held, all flows together, in bytes.
        public var bytes = 256 << 20
        /// The most flows, incarnations counted apart: senders that do not exist must not fill memory.
        public var flows = 20_000
        /// The most content of held envelopes that is handed over to the next incarnation.
        public var handoverBytes = 64 << 20
        /// Gaps given up that are remembered per flow, so that what comes late is known as such.
        public var abandonedGaps = 4_096
        /// For how long after a restore the first envelope of an unknown topic flow is held, in
        /// case that earlier ones are on their way.
        public var settling: Duration = .seconds(10)

        /// The defaults.
        public init() {}
    }

    /// Where a flow begins that was never seen.
    public enum Base: Hashable, Sendable {
        /// Nothing was missed before: agents' flows begin at 1.
        case one
        /// Something was: this process is a restart, and nobody told what came before.
        case firstSeen
    }

    /// What is bounded.
    public let limits: Limits
    private let base: Base
    var flows: [Key: FlowState] = [:]
    var waiting: Set<Key> = []
    var heldBytes = 0
    /// Topics that a former incarnation was subscribed to, and until when their unknown flows settle.
    var settlingTopics: [String] = []
    var settlingUntil: UInt64 = 0

    /// Envelopes that are held now.
    public internal(set) var heldCount = 0
    /// How many of those that were held since `takeHeldCredit` took room in a credit window.
    private(set) var heldCredit = 0
    /// Envelopes that came ahead of a gap and were held, ever.
    public private(set) var aheadCount: UInt64 = 0

    /// A receiver that has seen nothing.
    public init(base: Base = .one, limits: Limits = Limits()) {
        self.base = base
        self.limits = limits
    }

    /// An envelope came.
    public mutating func accept(_ arrival: Arrival, at now: UInt64) -> [Outcome] {
        let identity = arrival.envelope.identity
        let sequence = identity.sequence
        let key = Key(flow: identity.flow, incarnation: identity.incarnation)
        let isKept = arrival.envelope.delivery == .atLeastOnce
        guard var state = flows[key] ?? fresh(key, first: sequence, at: now, isKept: isKept)
        else {
            return [.refused(arrival)]
        }
        if isKept { state.isKept = true }
        // Taken out while it changes, so that its queues are changed in place.
        flows[key] = nil
        defer { flows[key] = state }
        if state.isRebased, sequence >= state.next {
            state.next = sequence
            state.isRebased = false
        }
        if sequence == state.next, state.held.isEmpty {
            state.next += 1
            state.isBaseUnknown = false
            return [.deliver(arrival)]
        }
        if sequence < state.next { return [classify(arrival, in: &state)] }
        if state.isKept, sequence > state.next, !hasRoom(for: arrival) {
            return [.deferred(arrival)]
        }
        guard insert(arrival, into: &state, at: now) else { return [.repeated(arrival)] }
        if arrival.isCredited { heldCredit += 1 }
        var outcomes: [Outcome] = []
        advance(&state, key, into: &outcomes)
        while heldCount > limits.messages || heldBytes > limits.bytes, !state.held.isEmpty,
            !state.isKept
        {
            giveUp(&state, key, reason: "more is held than the limit allows", into: &outcomes)
        }
        note(state, key)
        return outcomes
    }

    /// What is held is bounded here, so its credit can be given back at once: else a window full of it
    /// would keep out what it waits for, and what comes in other flows.
    private func uncredited(_ arrival: Arrival) -> Arrival {
        var held = arrival
        held.isCredited = false
        return held
    }

    /// How much credit is to be given for what is held; zero the next time.
    mutating func takeHeldCredit() -> Int {
        defer { heldCredit = 0 }
        return heldCredit
    }

    /// Whether envelopes of one flow, which follow each other, are all next and may be handed out.
    ///
    /// Those of nearly every batch are. Where they are not, nothing has happened.
    ///
    /// - Parameters:
    ///   - count: How many there are.
    ///   - identity: The first one's.
    ///   - isKept: Whether they are of the class `at_least_once`.
    /// - Returns: Whether they were.
    public mutating func accept(
        inOrder count: Int, from identity: Identity, isKept: Bool = false
    ) -> Bool {
        let key = Key(flow: identity.flow, incarnation: identity.incarnation)
        guard let index = flows.index(forKey: key) else { return false }
        let state = flows.values[index]
        guard state.next == identity.sequence, state.held.isEmpty, !state.isRebased,
            state.isKept == isKept
        else {
            return false
        }
        flows.values[index].next += UInt64(count)
        flows.values[index].isBaseUnknown = false
        return true
    }

    private func hasRoom(for arrival: Arrival) -> Bool {
        heldCount < limits.messages && heldBytes + arrival.envelope.contentSize <= limits.bytes
    }

    /// A notice came that these envelopes never will.
    ///
    /// It is a courtesy: where it is not heeded, the wait for them ends by its own bound. In a flow
    /// of the class `at_least_once` it makes no hole: they will come again.
    public mutating func accept(
        gapIn flow: Flow, incarnation: UInt32, from: UInt64, through: UInt64, reason: String,
        isKept: Bool = false, at now: UInt64
    ) -> [Outcome] {
        guard from >= 1, from <= through, through < UInt64.max else { return [] }
        let key = Key(flow: flow, incarnation: incarnation)
        let refusal = Outcome.noticeRefused(
            flow: flow, incarnation: incarnation, from: from, through: through)
        if isKept || flows[key]?.isKept == true {
            return [.missing(flow: flow, incarnation: incarnation, from: from, through: through)]
        }
        guard var state = flows[key] ?? fresh(key, first: from, at: now) else { return [refusal] }
        flows[key] = nil
        defer { flows[key] = state }
        if state.isRebased, from >= state.next {
            state.next = from
            state.isRebased = false
        }
        var start = max(from, state.next)
        // Only what is neither delivered nor held is missing.
        var holes: [ClosedRange<UInt64>] = []
        for held in state.held where held.through >= start && held.sequence <= through {
            if held.sequence > start { holes.append(start...(held.sequence - 1)) }
            start = held.through + 1
        }
        if start <= through { holes.append(start...through) }
        // What is next is not held.
        guard
            holes.isEmpty || heldCount + holes.count <= limits.messages
                || holes.count == 1 && holes[0].lowerBound == state.next
        else { return [refusal] }
        for hole in holes {
            let place = state.held.firstIndex { $0.sequence > hole.lowerBound } ?? state.held.count
            state.held.insert(
                Held(
                    sequence: hole.lowerBound, through: hole.upperBound, arrival: nil,
                    reason: reason), at: place)
            state.arrivals.append((now, hole.lowerBound))
            heldCount += 1
        }
        var outcomes: [Outcome] = []
        advance(&state, key, into: &outcomes)
        note(state, key)
        return outcomes
    }

    /// Time passed: gaps that were waited for long enough are given up.
    public mutating func expire(at now: UInt64) -> [Outcome] {
        guard !waiting.isEmpty else { return [] }
        var outcomes: [Outcome] = []
        for key in waiting.sorted(by: { ($0.flow, $0.incarnation) < ($1.flow, $1.incarnation) }) {
            guard var state = flows.removeValue(forKey: key) else { continue }
            let patience = patience(state)
            while let since = state.waitingSince, since + patience.nanoseconds <= now {
                giveUp(&state, key, reason: "not there after \(patience)", into: &outcomes)
            }
            note(state, key)
            flows[key] = state
        }
        return outcomes
    }

    /// When `expire` next has something to do.
    public var deadline: UInt64? {
        waiting.compactMap { key in
            flows[key].flatMap { state in
                state.waitingSince.map { $0 + patience(state).nanoseconds }
            }
        }.min()
    }

    private func patience(_ state: FlowState) -> Duration {
        state.isKept ? limits.patience : limits.time
    }

    /// The sequence that comes next in a flow; 1 where nothing came yet.
    public func next(in flow: Flow, incarnation: UInt32) -> UInt64 {
        flows[Key(flow: flow, incarnation: incarnation)]?.next ?? 1
    }

    /// Topic flows for which `isLeft` is true begin anew with what comes next.
    ///
    /// What is published while nobody is subscribed is not missing, and what is held of them waits
    /// no longer: it is handed out.
    public mutating func rebase(where isLeft: (_ topic: String) -> Bool) -> [Outcome] {
        var outcomes: [Outcome] = []
        let order = flows.keys.sorted { ($0.flow, $0.incarnation) < ($1.flow, $1.incarnation) }
        for key in order {
            guard case .topic(let topic) = key.flow.destination, isLeft(topic),
                var state = flows.removeValue(forKey: key)
            else { continue }
            while !state.held.isEmpty {
                giveUp(&state, key, reason: "the subscription ended", into: &outcomes)
            }
            state.isRebased = true
            note(state, key)
            flows[key] = state
        }
        return outcomes
    }

    /// A flow that was never seen; nil where there are too many.
    private func fresh(
        _ key: Key, first: UInt64, at now: UInt64, isKept: Bool = false
    ) -> FlowState? {
        guard flows.count < limits.flows else { return nil }
        switch key.flow.destination {
        // What was delivered of it before stands in the histories, which were read: it begins at 1.
        case .agent where isKept: return FlowState(next: 1, base: 1, isKept: true)
        case .agent:
            return base == .one ? FlowState(next: 1, base: 1) : FlowState(next: first, base: first)
        case .topic(let topic):
            let settles =
                now < settlingUntil
                && settlingTopics.contains { Names.topic(topic, isUnder: $0) }
            return settles
                ? FlowState(next: 1, base: 1, isBaseUnknown: true)
                : FlowState(next: first, base: first)
        }
    }

    private func classify(_ arrival: Arrival, in state: inout FlowState) -> Outcome {
        let sequence = arrival.envelope.sequence
        if sequence < state.base { return .late(arrival) }
        // The last range that begins at or below the sequence.
        var low = 0
        var high = state.abandoned.count
        while low < high {
            let middle = (low + high) / 2
            if state.abandoned[middle].lowerBound <= sequence {
                low = middle + 1
            } else {
                high = middle
            }
        }
        guard low > 0, state.abandoned[low - 1].contains(sequence) else {
            return .repeated(arrival)
        }
        // It came once now: the next one is a repeat.
        let range = state.abandoned.remove(at: low - 1)
        if sequence < range.upperBound {
            state.abandoned.insert((sequence + 1)...range.upperBound, at: low - 1)
        }
        if sequence > range.lowerBound {
            state.abandoned.insert(range.lowerBound...(sequence - 1), at: low - 1)
        }
        return .late(arrival)
    }

    /// Holds an arrival, also where it was announced as missing; false where it is held already.
    private mutating func insert(
        _ arrival: Arrival, into state: inout FlowState, at now: UInt64
    ) -> Bool {
        let sequence = arrival.envelope.sequence
        // Mostly it belongs at the end.
        var place = state.held.count
        while place > 0, state.held[place - 1].through >= sequence { place -= 1 }
        let held = Held(
            sequence: sequence, through: sequence, arrival: uncredited(arrival), reason: "")
        if place < state.held.count, state.held[place].sequence <= sequence {
            let hole = state.held[place]
            guard hole.arrival == nil else { return false }
            state.held.remove(at: place)
            heldCount -= 1
            if sequence < hole.through {
                state.held.insert(
                    Held(
                        sequence: sequence + 1, through: hole.through, arrival: nil,
                        reason: hole.reason), at: place)
                state.arrivals.append((now, sequence + 1))
                heldCount += 1
            }
            state.held.insert(held, at: place)
            if sequence > hole.sequence {
                state.held.insert(
                    Held(
                        sequence: hole.sequence, through: sequence - 1, arrival: nil,
                        reason: hole.reason), at: place)
                heldCount += 1
            }
        } else {
            state.held.insert(held, at: place)
        }
        state.arrivals.append((now, sequence))
        heldCount += 1
        heldBytes += arrival.envelope.contentSize
        if sequence > state.next { aheadCount += 1 }
        return true
    }

    /// Hands out what is held as far as it is whole.
    private mutating func advance(
        _ state: inout FlowState, _ key: Key, into outcomes: inout [Outcome]
    ) {
        while let held = state.held.first, held.sequence <= state.next {
            state.held.removeFirst()
            heldCount -= 1
            if let arrival = held.arrival {
                heldBytes -= arrival.envelope.contentSize
                outcomes.append(.deliver(arrival))
            } else {
                abandon(held.sequence...held.through, &state, key, held.reason, into: &outcomes)
            }
            state.next = held.through + 1
            state.isBaseUnknown = false
        }
        while let first = state.arrivals.first, first.sequence < state.next {
            state.arrivals.removeFirst()
        }
        if state.held.isEmpty { state.arrivals.removeAll() }
    }

    /// Stops waiting for what is missing before the first that is held.
    private mutating func giveUp(
        _ state: inout FlowState, _ key: Key, reason: String, into outcomes: inout [Outcome]
    ) {
        guard let first = state.held.first else { return }
        if first.sequence > state.next {
            if state.isBaseUnknown {
                state.base = first.sequence
            } else {
                abandon(state.next...(first.sequence - 1), &state, key, reason, into: &outcomes)
            }
            state.next = first.sequence
        }
        advance(&state, key, into: &outcomes)
    }

    private func abandon(
        _ range: ClosedRange<UInt64>, _ state: inout FlowState, _ key: Key, _ reason: String,
        into outcomes: inout [Outcome]
    ) {
        state.abandoned.append(range)
        if state.abandoned.count > limits.abandonedGaps { state.abandoned.removeFirst() }
        outcomes.append(
            .gap(
                flow: key.flow, incarnation: key.incarnation, from: range.lowerBound,
                through: range.upperBound, reason: reason))
    }

    private mutating func note(_ state: FlowState, _ key: Key) {
        if state.held.isEmpty { waiting.remove(key) } else { waiting.insert(key) }
    }
}
