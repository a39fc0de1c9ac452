internal import Recording
internal import Wire

/// A flow within one incarnation of its sender: the unit in which sequences count.
struct StreamKey: Hashable, Comparable {
    let flow: Flow
    let incarnation: UInt32

    static func < (left: StreamKey, right: StreamKey) -> Bool {
        (left.flow, left.incarnation) < (right.flow, right.incarnation)
    }
}

extension Identity {
    var stream: StreamKey { StreamKey(flow: flow, incarnation: incarnation) }
}

/// Where a record stands in the histories.
struct Place {
    private let history32: UInt32
    private let record32: UInt32

    /// Four bytes each: there is one for each of tens of millions of records.
    init(history: Int, record: Int) {
        history32 = UInt32(history)
        record32 = UInt32(record)
    }

    var history: Int { Int(history32) }
    var record: Int { Int(record32) }
}

struct SentEntry {
    let sequence: UInt64
    let sent: UInt64
    let place: Place
}

struct DeliveredEntry {
    let sequence: UInt64
    let sent: UInt64
    let observed: UInt64
    let place: Place
}

/// When a subscription held: from its confirmation until it was given up.
struct SubscriptionInterval {
    let start: UInt64
    var end: UInt64?
}

/// What one stream's receivers saw.
struct StreamEntries {
    var sent: [SentEntry] = []
    var deliveries: [String: [DeliveredEntry]] = [:]
}

/// A drop that a part of the mesh named.
struct Drop {
    let reason: String
    let by: String
    let at: UInt64
}

/// A wait that a receiver gave up.
struct Gap {
    let receiver: String
    let sequences: ClosedRange<UInt64>
    let reason: String
}

/// What a receiver found in shared memory in place of a content.
enum SharedContent {
    case read(isVerified: Bool)
    case unreadable(reason: String, at: UInt64)
}

/// Who sent messages that nobody can read, and who met them.
private struct Unreadable: Hashable, Comparable {
    let from: String
    let by: String

    var sender: String { from.isEmpty ? "of an unknown sender" : "of '\(from)'" }

    static func < (left: Unreadable, right: Unreadable) -> Bool {
        (left.by, left.from) < (right.by, right.from)
    }
}

/// The histories sorted by stream and receiver.
struct DeliveryIndex {
    private(set) var streams: [StreamKey: StreamEntries] = [:]
    private(set) var subscriptions: [String: [String: [SubscriptionInterval]]] = [:]
    private(set) var drops: [Identity: Drop] = [:]
    private(set) var late: [Identity: [String: UInt64]] = [:]
    private(set) var gaps: [StreamKey: [Gap]] = [:]
    /// What became of contents in shared memory, by envelope and receiver.
    private(set) var sharedContents: [Identity: [String: SharedContent]] = [:]
    private(set) var repeatsDropped = 0
    /// The same by flow.
    private(set) var repeats: [StreamKey: Int] = [:]
    /// Up to where their senders heard that flows are recorded.
    private(set) var acknowledged: [StreamKey: UInt64] = [:]
    /// When agents could not send something.
    private(set) var refusals: [UInt64] = []
    /// Agents that record for themselves.
    private(set) var recorders: Set<String> = []
    /// Agents whose deliveries would be seen.
    private(set) var observed: Set<String>
    private(set) var notes: [String] = []

    init(_ histories: [History], scope: DeliveryScope) {
        observed = scope.observed
        for history in histories where !scope.proxies.contains(history.process) {
            recorders.insert(history.process)
        }
        observed.formUnion(recorders)
        // What it was subscribed to stands in the file that is missing.
        notes += scope.observed.subtracting(recorders).sorted().map { "\($0): no history" }
        for (index, history) in histories.enumerated() {
            addRecords(of: history, at: index, proxies: scope.proxies)
            notes += history.notes.map { "\(history.process): \($0)" }
        }
        addAnnotations(of: histories, isWatching: scope.isWatching)
    }

    private mutating func addRecords(
        of history: History, at index: Int, proxies: Set<String>
    ) {
        // Records of one kind go to one place, which is looked up once a run of them.
        var open: OpenStream?
        history.records.forEachEntry { position, entry in
            if open?.kind != entry.kind {
                close(&open)
                open = openStream(
                    of: history.records.kinds[entry.kind], number: entry.kind, proxies: proxies)
            }
            let place = Place(history: index, record: position)
            switch open?.side {
            case .sent?:
                open?.sent.append(
                    SentEntry(sequence: entry.sequence, sent: entry.sent, place: place))
            case .delivered?:
                open?.delivered.append(
                    DeliveredEntry(
                        sequence: entry.sequence, sent: entry.sent, observed: entry.observed,
                        place: place))
            case .ignored?, nil: break
            }
        }
        close(&open)
    }

    /// One stream's entries, taken out of the index while records of their kind come.
    private struct OpenStream {
        enum Side { case sent, delivered(String), ignored }

        let kind: Int
        let key: StreamKey
        let side: Side
        var sent: [SentEntry] = []
        var delivered: [DeliveredEntry] = []
    }

    private mutating func openStream(
        of kind: RecordKind, number: Int, proxies: Set<String>
    ) -> OpenStream {
        let key = StreamKey(flow: kind.flow, incarnation: kind.incarnation)
        guard kind.lane == .primary else {
            return OpenStream(kind: number, key: key, side: .ignored)
        }
        switch kind.direction {
        case .sent:
            var open = OpenStream(kind: number, key: key, side: .sent)
            swap(&open.sent, &streams[key, default: StreamEntries()].sent)
            return open
        case .delivered:
            var receiver = kind.agent
            if case .agent(let name) = kind.flow.destination, proxies.contains(kind.agent) {
                // What a proxy says of an agent that speaks for itself is no second delivery.
                guard !recorders.contains(name) else {
                    return OpenStream(kind: number, key: key, side: .ignored)
                }
                receiver = name
                observed.insert(name)
            }
            var open = OpenStream(kind: number, key: key, side: .delivered(receiver))
            swap(
                &open.delivered,
                &streams[key, default: StreamEntries()].deliveries[receiver, default: []])
            return open
        }
    }

    private mutating func close(_ open: inout OpenStream?) {
        guard var last = open else { return }
        open = nil
        switch last.side {
        case .ignored: break
        case .sent: swap(&last.sent, &streams[last.key, default: StreamEntries()].sent)
        case .delivered(let receiver):
            swap(
                &last.delivered,
                &streams[last.key, default: StreamEntries()].deliveries[receiver, default: []])
        }
    }

    private mutating func addAnnotations(of histories: [History], isWatching: Bool) {
        var refused: [String: (count: Int, reason: String)] = [:]
        var unreadable: [Unreadable: (count: Int, reason: String)] = [:]
        var changes: [(agent: String, topic: String, at: UInt64, holds: Bool)] = []
        for annotation in histories.lazy.flatMap(\.annotations) {
            switch annotation {
            case .subscribed(let agent, let topic, let at): changes.append((agent, topic, at, true))
            case .unsubscribed(let agent, let topic, let at):
                changes.append((agent, topic, at, false))
            case .dropped(let identity, let reason, let by, let at):
                if drops[identity] == nil {
                    drops[identity] = Drop(reason: reason, by: by, at: at)
                }
            case .repeatDropped(let identity, _, _, _):
                repeatsDropped += 1
                repeats[identity.stream, default: 0] += 1
            case .acknowledged(let flow, let incarnation, let through, _, _):
                let key = StreamKey(flow: flow, incarnation: incarnation)
                acknowledged[key] = max(acknowledged[key] ?? 0, through)
            case .gap(let flow, let incarnation, let from, let through, let reason, let by, _):
                guard from <= through else { continue }
                gaps[StreamKey(flow: flow, incarnation: incarnation), default: []].append(
                    Gap(receiver: by, sequences: from...through, reason: reason))
            case .late(let identity, let by, let at):
                late[identity, default: [:]][by] = min(at, late[identity]?[by] ?? .max)
            case .contentRead(let identity, _, let isVerified, let by, _):
                // A failure stays one, and one unverified reading makes the envelope unverified.
                switch sharedContents[identity]?[by] {
                case .unreadable, .read(isVerified: false): break
                case .read(isVerified: true), nil:
                    sharedContents[identity, default: [:]][by] = .read(isVerified: isVerified)
                }
            case .contentUnreadable(let identity, _, let reason, let by, let at):
                sharedContents[identity, default: [:]][by] = .unreadable(reason: reason, at: at)
            case .unreadable(let count, let from, let reason, let by, _):
                let key = Unreadable(from: from, by: by)
                unreadable[key, default: (0, reason)].count += count
            case .refused(let destination, let type, let reason, let by, let at):
                refusals.append(at)
                let first = "'\(type)' to '\(destination.name)': \(reason)"
                refused[by, default: (0, first)].count += 1
            case .blind(let reason, let by, _):
                // Without anybody to record for, nothing was missed.
                if isWatching { notes.append("\(by): \(reason)") }
            case .cause, .note: break
            }
        }
        notes += unreadable.sorted { $0.key < $1.key }.map { key, found in
            "\(key.by): \(found.count) messages \(key.sender) could not be read, were dropped and "
                + "are in no count; the first: \(found.reason)"
        }
        notes += refused.sorted { $0.key < $1.key }.map { by, found in
            "\(by): \(found.count) messages could not be sent and are in no count; the first: "
                + found.reason
        }
        // A restart says `subscribed` again without an end in between: the subscription went on.
        // In a move the mesh keeps what comes meanwhile, and after a crash it is owed all the same.
        changes.sort { $0.at < $1.at }
        for change in changes {
            var intervals = subscriptions[change.topic]?[change.agent] ?? []
            let isOpen = intervals.last.map { $0.end == nil } ?? false
            if change.holds, !isOpen {
                intervals.append(SubscriptionInterval(start: change.at))
            } else if !change.holds, isOpen {
                intervals[intervals.count - 1].end = change.at
            }
            subscriptions[change.topic, default: [:]][change.agent] = intervals
        }
    }

    /// Who subscribed to what covers the topic, and when.
    func subscribers(of topic: String) -> [String: [SubscriptionInterval]] {
        var found: [String: [SubscriptionInterval]] = [:]
        for (subscription, agents) in subscriptions
        where Names.topic(topic, isUnder: subscription) {
            found.merge(agents) { $0 + $1 }
        }
        return found
    }
}
