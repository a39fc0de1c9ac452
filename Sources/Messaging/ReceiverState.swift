internal import DequeModule
public import JSON
internal import Recording
public import Wire

/// A receiver's marks as JSON, for the process that takes its place.
///
/// `{"marks": [{"flow", "incarnation", "next", "base", "abandoned": [[from, through]]}],
/// "held": [{"header", "content", "transport"}]}`: what is held goes along (base64), since what it
/// waits for may come on the other way.
extension Receiver {
    /// The marks and what is held, now.
    public var state: Value {
        var marks: [Value] = []
        for key in order {
            guard let flow = flows[key] else { continue }
            var mark: [String: Value] = [
                "source": .string(key.flow.source),
                "destination": .string(key.flow.destination.description),
                "incarnation": .integer(Int64(key.incarnation)),
                "next": .integer(Int64(clamping: flow.next)),
                "base": .integer(Int64(clamping: flow.base)),
                "abandoned": .array(
                    flow.abandoned.map {
                        [
                            .integer(Int64(clamping: $0.lowerBound)),
                            .integer(Int64(clamping: $0.upperBound)),
                        ]
                    }),
            ]
            if flow.isKept { mark["delivery"] = .string(DeliveryClass.atLeastOnce.rawValue) }
            marks.append(.object(mark))
        }
        let held = handover.taken.map { arrival -> Value in
            [
                "header": .string(Base64.encode(arrival.envelope.header)),
                "content": .string(Base64.encode(arrival.envelope.content)),
                "transport": .string(arrival.transport),
            ]
        }
        return ["marks": .array(marks), "held": .array(held)]
    }

    /// What is held and too much to be part of `state`: nobody will have it, but what its sender
    /// sends again.
    public var leftBehind: (lost: [Identity], again: [Identity]) {
        let left = handover.left
        return (
            left.filter { $0.delivery != .atLeastOnce }.map(\.identity),
            left.filter { $0.delivery == .atLeastOnce }.map(\.identity)
        )
    }

    private var order: [Key] {
        flows.keys.sorted { ($0.flow, $0.incarnation) < ($1.flow, $1.incarnation) }
    }

    private var handover: (taken: [Arrival], left: [Envelope]) {
        var taken: [Arrival] = []
        var left: [Envelope] = []
        var bytes = 0
        for arrival in order.flatMap({ flows[$0]?.held.compactMap(\.arrival) ?? [] }) {
            bytes += arrival.envelope.contentSize
            if bytes <= limits.handoverBytes {
                taken.append(arrival)
            } else {
                left.append(arrival.envelope)
            }
        }
        return (taken, left)
    }

    /// Takes over what `state` wrote.
    ///
    /// - Parameters:
    ///   - state: The marks of the former incarnation.
    ///   - topics: What that was subscribed to.
    ///   - now: The time, by the run's clock.
    /// - Returns: What the envelopes that were held lead to.
    /// - Throws: `MessagingError` where `state` is malformed; the receiver is then unchanged.
    public mutating func restore(
        _ state: Value, topics: [String], at now: UInt64
    ) throws(MessagingError) -> [Outcome] {
        func malformed(_ what: String) -> MessagingError {
            MessagingError(.restore, .malformedState(what))
        }
        guard let marks = state["marks"]?.array else { throw malformed("'marks' is missing") }
        var restored: [Key: FlowState] = [:]
        for mark in marks {
            guard let source = mark["source"]?.string,
                let destination = mark["destination"]?.string,
                let incarnation = mark["incarnation"]?.integer.flatMap(UInt32.init(exactly:)),
                let next = mark["next"]?.integer.flatMap(UInt64.init(exactly:)), next >= 1
            else { throw malformed("a mark lacks a field") }
            let base = mark["base"]?.integer.flatMap(UInt64.init(exactly:)) ?? 1
            var flow = FlowState(next: next, base: base)
            flow.isKept = mark["delivery"]?.string == DeliveryClass.atLeastOnce.rawValue
            for pair in mark["abandoned"]?.array ?? [] {
                guard let bounds = pair.array?.compactMap(\.integer), bounds.count == 2,
                    let from = UInt64(exactly: bounds[0]), let through = UInt64(exactly: bounds[1]),
                    from <= through
                else { throw malformed("an abandoned gap is no pair") }
                flow.abandoned.append(from...through)
            }
            let key = Key(
                flow: Flow(source: source, destination: Address(destination)),
                incarnation: incarnation)
            restored[key] = flow
        }
        var held: [Arrival] = []
        for value in state["held"]?.array ?? [] {
            guard let header = value["header"]?.string.flatMap(Base64.decode),
                let content = value["content"]?.string.flatMap(Base64.decode),
                let envelope = try? Envelope(header: header, content: content)
            else { throw malformed("a held envelope cannot be read") }
            held.append(Arrival(envelope, transport: value["transport"]?.string ?? "unknown"))
        }
        flows = restored
        settlingTopics = topics
        settlingUntil = now + limits.settling.nanoseconds
        var outcomes: [Outcome] = []
        for arrival in held { outcomes += accept(arrival, at: now) }
        return outcomes
    }
}

extension Receiver.Key {
    init(_ envelope: Envelope) {
        self.init(flow: envelope.identity.flow, incarnation: envelope.incarnation)
    }
}

/// Flows of the class `at_least_once`.
extension Receiver {
    /// Takes over how far flows were delivered before a crash.
    mutating func restore(_ marks: [OwnHistory.Mark]) {
        for mark in marks {
            var flow = FlowState(next: mark.next, base: 1, isKept: true)
            flow.abandoned = Array(mark.abandoned.suffix(limits.abandonedGaps))
            flows[Key(flow: mark.flow, incarnation: mark.incarnation)] = flow
        }
    }

    /// The flows of the class, and what comes next in each.
    var keptMarks: [(key: Key, next: UInt64)] {
        flows.filter(\.value.isKept).map { ($0.key, $0.value.next) }
    }

    /// Whether something is held in a flow for what is before it.
    func isWaiting(_ key: Key) -> Bool { waiting.contains(key) }

    /// What is missing before what is held.
    func missing(_ key: Key, atMost count: Int) -> [ClosedRange<UInt64>] {
        guard let state = flows[key] else { return [] }
        var ranges: [ClosedRange<UInt64>] = []
        var next = state.next
        for held in state.held {
            if held.sequence > next { ranges.append(next...(held.sequence - 1)) }
            if ranges.count == count { break }
            next = held.through + 1
        }
        return ranges
    }

    /// What was given up last.
    func abandoned(_ key: Key, atMost count: Int) -> [ClosedRange<UInt64>] {
        Array((flows[key]?.abandoned ?? []).suffix(count))
    }
}
