internal import Recording
internal import Wire

/// One run of the delivery check: walks the streams in order and fills the report.
struct DeliveryCheck {
    private enum Claim {
        /// The receiver must get it.
        case expected
        /// The receiver may get it.
        case allowed
        /// The receiver must not get it.
        case none
    }

    /// One receiver of one stream.
    struct Leg {
        let stream: StreamKey
        let receiver: String
        /// `nil` for an agent's own flow, which is always owed.
        let subscription: [SubscriptionInterval]?
        /// Whether the envelopes are for this receiver at all.
        let isAddressed: Bool
        /// Whether its sender sends again what is not acknowledged: then nothing excuses a loss.
        var isKept = false

        func identity(_ sequence: UInt64) -> Identity {
            Identity(flow: stream.flow, incarnation: stream.incarnation, sequence: sequence)
        }
    }

    /// The incarnation, which no agent has, of what a program that knows no identities sent straight
    /// to NATS: its receiver numbers it, so there is nothing to hold the numbers against.
    private static let stampedByReceiver: UInt32 = 0

    let index: DeliveryIndex
    let histories: [History]
    let scope: DeliveryScope
    let faults: [FaultWindow]
    var report = DeliveryReport()
    var collector: FindingCollector
    /// Of the class `at_least_once`, by receiver.
    var kept: [String: KeptTally] = [:]

    init(index: DeliveryIndex, histories: [History], scope: DeliveryScope) {
        self.index = index
        self.histories = histories
        self.scope = scope
        self.faults = scope.faults.sorted { ($0.started, $0.id) < ($1.started, $1.id) }
        self.collector = FindingCollector(limit: scope.findingsMax)
    }

    mutating func run() -> DeliveryReport {
        report.notes = index.notes
        report.repeatsDropped = index.repeatsDropped
        report.refused = index.refusals.count { isInWindow($0) }
        for fault in faults { report.touched[fault.id] = 0 }
        var subscribers: [String: [String: [SubscriptionInterval]]] = [:]
        for (key, entries) in index.streams.sorted(by: { $0.key < $1.key }) {
            if key.incarnation == Self.stampedByReceiver, entries.sent.isEmpty {
                report.unidentified += entries.deliveries.values.joined().count {
                    isInWindow($0.sent)
                }
                continue
            }
            let sent = uniqueSent(entries.sent, of: key)
            report.counts.sent += sent.count { isInWindow($0.sent) }
            let isKept = isKept(key, sent)
            if isKept { countKept(key, sent) }
            var legs: [String: Leg] = [:]
            switch key.flow.destination {
            case .agent(let name) where index.observed.contains(name):
                legs[name] = Leg(
                    stream: key, receiver: name, subscription: nil, isAddressed: true,
                    isKept: isKept)
            case .agent(let name):
                // Whether it arrived nobody saw; that it was dropped, somebody said.
                let leg = Leg(
                    stream: key, receiver: name, subscription: nil, isAddressed: true,
                    isKept: isKept)
                for entry in sent where isInWindow(entry.sent) {
                    guard index.drops[leg.identity(entry.sequence)] != nil else {
                        report.unobserved += 1
                        continue
                    }
                    report.counts.expected += 1
                    absent(entry, leg, isTail: false)
                }
            case .topic(let topic):
                let known = subscribers[topic] ?? index.subscribers(of: topic)
                subscribers[topic] = known
                for (agent, intervals) in known {
                    legs[agent] = Leg(
                        stream: key, receiver: agent, subscription: intervals, isAddressed: true)
                }
            }
            for receiver in entries.deliveries.keys where legs[receiver] == nil {
                legs[receiver] = Leg(
                    stream: key, receiver: receiver, subscription: nil, isAddressed: false)
            }
            for (receiver, leg) in legs.sorted(by: { $0.key < $1.key }) {
                check(leg, sent: sent, delivered: entries.deliveries[receiver] ?? [])
            }
        }
        checkPromises()
        checkSilence()
        report.findings = collector.findings
        report.findingsOmitted = collector.omitted
        return report
    }

    func isInWindow(_ time: UInt64) -> Bool { scope.window?.contains(time) ?? true }

    func record(at place: Place) -> HistoryRecord {
        histories[place.history].records[place.record]
    }

    func hasSameContent(_ one: Place, _ other: Place) -> Bool {
        histories[one.history].records.hasSameBytes(
            at: one.record, as: histories[other.history].records, at: other.record)
            ?? ContentDifference.isSame(record(at: one).content, record(at: other).content)
    }

    func kind(at place: Place) -> RecordKind {
        let records = histories[place.history].records
        return records.kinds[records.entry(at: place.record).kind]
    }

    /// What was sent, by sequence.
    ///
    /// An identity that stands for two contents is no identity: that is noted.
    mutating func uniqueSent(_ entries: [SentEntry], of key: StreamKey) -> [SentEntry] {
        var unique: [SentEntry] = []
        unique.reserveCapacity(entries.count)
        for entry in sortedIfNeeded(entries, by: { $0.sequence < $1.sequence }) {
            guard let last = unique.last, last.sequence == entry.sequence else {
                unique.append(entry)
                continue
            }
            if !hasSameContent(last.place, entry.place), report.notes.count < scope.findingsMax {
                report.notes.append(
                    "\(record(at: entry.place).identity) was sent twice with different contents")
            }
        }
        return unique
    }

    private func sortedIfNeeded<Entry>(
        _ entries: [Entry], by precedes: (Entry, Entry) -> Bool
    ) -> [Entry] {
        for position in entries.indices.dropFirst()
        where precedes(entries[position], entries[position - 1]) {
            return entries.sorted(by: precedes)
        }
        return entries
    }

    // MARK: One receiver of one stream

    private mutating func check(_ leg: Leg, sent: [SentEntry], delivered: [DeliveredEntry]) {
        let arrivals = sortedIfNeeded(delivered) { $0.observed < $1.observed }
        checkOrder(leg, sent: sent, arrivals: arrivals)
        let copies = sortedIfNeeded(arrivals) { $0.sequence < $1.sequence }
        let last = copies.last?.sequence ?? 0
        var position = 0
        for entry in sent {
            while position < copies.count, copies[position].sequence < entry.sequence {
                invented(copies[position], leg)
                position += 1
            }
            let start = position
            while position < copies.count, copies[position].sequence == entry.sequence {
                position += 1
            }
            guard isInWindow(entry.sent) else { continue }
            let claim = claim(of: leg, at: entry.sent)
            if start == position {
                guard claim == .expected else { continue }
                report.counts.expected += 1
                absent(entry, leg, isTail: entry.sequence > last)
            } else {
                present(entry, copies[start..<position], leg, claim)
            }
        }
        while position < copies.count {
            invented(copies[position], leg)
            position += 1
        }
    }

    private func claim(of leg: Leg, at time: UInt64) -> Claim {
        guard leg.isAddressed else { return .none }
        guard let intervals = leg.subscription else { return .expected }
        var claim = Claim.none
        for interval in intervals {
            let end = interval.end ?? .max
            if time >= interval.start, time < end { return .expected }
            // On its way before the confirmation, or still on its way after the end.
            if time < interval.start || time - end <= scope.flight { claim = .allowed }
        }
        return claim
    }

    private mutating func present(
        _ entry: SentEntry, _ copies: ArraySlice<DeliveredEntry>, _ leg: Leg, _ claim: Claim
    ) {
        let identity = leg.identity(entry.sequence)
        let first = copies.first?.observed ?? entry.sent
        let life = entry.sent...max(entry.sent, copies.last?.observed ?? entry.sent)
        switch claim {
        case .expected:
            report.counts.expected += 1
            touch(leg, entry.sent...max(entry.sent, first))
            if index.late[identity]?[leg.receiver] != nil {
                deviate(.late, 1, identity, leg, life, reason: "Delivered after it was given up.")
            } else {
                report.counts.delivered += 1
                if leg.isKept { presentKept(entry, leg) }
            }
        case .allowed: report.allowed += 1
        case .none:
            deviate(
                .unexpected, 1, identity, leg, life,
                reason: leg.isAddressed
                    ? "Delivered to '\(leg.receiver)' after its subscription had ended."
                    : "Delivered to '\(leg.receiver)', for whom it was not.")
        }
        if copies.count > 1 {
            deviate(
                .duplicated, copies.count - 1, identity, leg, life,
                reason: "Delivered \(copies.count) times.")
        }
        checkContent(entry, copies, leg, life)
    }

    private mutating func absent(_ entry: SentEntry, _ leg: Leg, isTail: Bool) {
        let identity = leg.identity(entry.sequence)
        if let at = index.late[identity]?[leg.receiver] {
            let life = entry.sent...max(entry.sent, at)
            touch(leg, life)
            if leg.isKept { absentKept(entry, leg) }
            deviate(
                .late, 1, identity, leg, life,
                reason: "Arrived after '\(leg.receiver)' had given it up, so it was not delivered.")
            return
        }
        let (end, overflow) = entry.sent.addingReportingOverflow(scope.flight)
        var life = entry.sent...(overflow ? .max : end)
        let drop = index.drops[identity]
        if let drop { life = entry.sent...max(entry.sent, drop.at) }
        touch(leg, life)
        if drop == nil, isTail, !scope.isDrained {
            report.pending += 1
            return
        }
        if leg.isKept { absentKept(entry, leg) }
        let reason: String
        if let drop {
            report.counts.dropped += 1
            reason = "Dropped by '\(drop.by)': \(drop.reason)."
        } else {
            report.counts.inferred += 1
            let gap = index.gaps[leg.stream]?.first {
                $0.receiver == leg.receiver && $0.sequences.contains(entry.sequence)
            }
            reason =
                gap.map { "Sent, never delivered; '\(leg.receiver)' gave it up: \($0.reason)." }
                ?? "Sent, never delivered, and nobody named a drop."
        }
        deviate(.lost, 1, identity, leg, life, by: drop?.by, reason: reason)
    }

    private mutating func invented(_ copy: DeliveredEntry, _ leg: Leg) {
        guard isInWindow(copy.sent) else { return }
        deviate(
            .unexpected, 1, leg.identity(copy.sequence), leg,
            copy.sent...max(copy.sent, copy.observed),
            reason: "Delivered, but no history says that '\(leg.stream.flow.source)' sent it.")
    }

    /// Order among the first arrivals of what was sent; repeats have a class of their own.
    private mutating func checkOrder(_ leg: Leg, sent: [SentEntry], arrivals: [DeliveredEntry]) {
        var isOrdered = true
        for position in arrivals.indices.dropFirst()
        where arrivals[position].sequence <= arrivals[position - 1].sequence {
            isOrdered = false
            break
        }
        guard !isOrdered else { return }
        let known = Set(sent.filter { isInWindow($0.sent) }.map(\.sequence))
        var seen: Set<UInt64> = []
        let firsts = arrivals.filter {
            known.contains($0.sequence) && seen.insert($0.sequence).inserted
        }
        for position in Order.displaced(firsts.map(\.sequence)) {
            let entry = firsts[position]
            let before = position > 0 ? firsts[position - 1].sequence : 0
            let reason =
                before > entry.sequence
                ? "Delivered after \(before), which was sent later."
                : "Delivered before \(firsts[min(position + 1, firsts.count - 1)].sequence), "
                    + "which was sent earlier."
            deviate(
                .reordered, 1, leg.identity(entry.sequence), leg,
                entry.sent...max(entry.sent, entry.observed), reason: reason)
        }
    }

    // MARK: Counting

    private mutating func touch(_ leg: Leg, _ life: ClosedRange<UInt64>) {
        for fault in faults
        where fault.held(during: life)
            && fault.reach.covers(source: leg.stream.flow.source, receiver: leg.receiver)
        {
            report.touched[fault.id, default: 0] += 1
        }
    }

    mutating func deviate(
        _ deviation: Deviation, _ count: Int, _ identity: Identity, _ leg: Leg,
        _ life: ClosedRange<UInt64>, by process: String? = nil, reason: @autoclosure () -> String
    ) {
        deviate(deviation, count, identity, leg, life, by: process) { (nil, reason()) }
    }

    /// Counts a deviation; `detail` is asked only where the finding is kept, for looking up where
    /// two contents differ takes longer than to see that they do.
    mutating func deviate(
        _ deviation: Deviation, _ count: Int, _ identity: Identity, _ leg: Leg,
        _ life: ClosedRange<UInt64>, by process: String? = nil,
        detail: () -> (path: String?, reason: String)
    ) {
        let fault =
            leg.isKept
            ? nil
            : faults.first {
                $0.explains.contains(deviation) && $0.held(during: life)
                    && ($0.reach.covers(source: identity.flow.source, receiver: leg.receiver)
                        || $0.target == process)
            }
        report.counts.deviations[deviation] += count
        if fault != nil { report.counts.explained[deviation] += count }
        let severity: Finding.Severity = fault == nil ? .error : .warning
        collector.add(severity, deviation) {
            let (path, reason) = detail()
            return Finding(
                severity, deviation, identity: identity, path: path, receiver: leg.receiver,
                fault: fault?.id,
                reason: fault.map { "\(reason) Fault '\($0.id)' (\($0.kind) \($0.target)) held." }
                    ?? reason)
        }
    }
}
