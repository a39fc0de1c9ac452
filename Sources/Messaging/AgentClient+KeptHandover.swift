internal import JSON
public import Recording
internal import Wire

/// What of the class `at_least_once` outlives an incarnation, and how nothing of it is forgotten
/// without a word.
extension AgentClient {
    /// Takes over what a former incarnation handed over, or what it recorded.
    func restoreKept(_ state: Value?, _ history: OwnHistory?) throws(MessagingError) {
        let now = clock.now
        if let state {
            for value in state["unacknowledged"]?.array ?? [] {
                guard let header = value["header"]?.string.flatMap(Base64.decode),
                    let content = value["content"]?.string.flatMap(Base64.decode),
                    let envelope = try? Envelope(header: header, content: content)
                else {
                    throw MessagingError(
                        .restore, .malformedState("an unacknowledged envelope cannot be read"))
                }
                unacknowledged.add(envelope, at: now)
            }
            try restoreNamed(state["unacknowledged_recorded"]?.array ?? [], history)
        } else if let history {
            receiver.restore(history.marks)
            for envelope in history.unacknowledged { unacknowledged.add(envelope, at: now) }
            for identity in history.lost {
                try forget(identity, "its content is in no history: it cannot be sent again")
            }
        }
        for note in history?.notes ?? [] {
            try annotate(
                .unreadable(
                    count: 1, from: "", reason: "recorded before: \(note)", by: name, at: now))
        }
        for (key, next) in receiver.keptMarks { recorded[key] = next - 1 }
        // Both sides of a crash want to know where the other is.
        for key in recorded.keys { owe(key, at: now) }
    }

    /// Takes what was too much to be handed over from where it was recorded.
    private func restoreNamed(_ values: [Value], _ history: OwnHistory?) throws(MessagingError) {
        guard !values.isEmpty else { return }
        var known: [Identity: Envelope] = [:]
        for envelope in history?.unacknowledged ?? [] { known[envelope.identity] = envelope }
        for value in values {
            guard let destination = value["destination"]?.string,
                let incarnation = value["incarnation"]?.integer.flatMap(UInt32.init(exactly:)),
                let bounds = value["sequences"]?.array?.compactMap(\.integer), bounds.count == 2,
                let from = UInt64(exactly: bounds[0]), let through = UInt64(exactly: bounds[1]),
                from >= 1, from <= through, through - from < 1_000_000
            else {
                throw MessagingError(
                    .restore, .malformedState("'unacknowledged_recorded' cannot be read"))
            }
            let flow = Flow(source: name, destination: .agent(destination))
            for sequence in from...through {
                let identity = Identity(flow: flow, incarnation: incarnation, sequence: sequence)
                if let envelope = known[identity] {
                    unacknowledged.add(envelope, at: clock.now)
                } else {
                    try forget(identity, "too large for the handover, and in no history")
                }
            }
        }
    }

    /// Something of the class cannot be sent again: that is a loss, and is named as one.
    private func forget(_ identity: Identity, _ reason: String) throws(MessagingError) {
        counts.dropped += 1
        try annotate(.dropped(identity, reason: reason, by: name, at: clock.now))
    }

    /// As `state` hands it over: contents as far as there is room for them, of the rest the names.
    ///
    /// What is named stands in the agent's histories, contents and all.
    var keptState: [String: Value] {
        guard !unacknowledged.isEmpty else { return [:] }
        var size = 0
        var taken: [Value] = []
        var named: [(Unacknowledged.Key, ClosedRange<UInt64>)] = []
        for envelope in unacknowledged.all {
            size += envelope.contentSize
            guard size > receiver.limits.handoverBytes else {
                taken.append([
                    "header": .string(Base64.encode(envelope.header)),
                    "content": .string(Base64.encode(envelope.content)),
                ])
                continue
            }
            let key = Unacknowledged.Key(
                destination: envelope.destination.name, incarnation: envelope.incarnation)
            if let last = named.last, last.0 == key, last.1.upperBound + 1 == envelope.sequence {
                named[named.count - 1].1 = last.1.lowerBound...envelope.sequence
            } else {
                named.append((key, envelope.sequence...envelope.sequence))
            }
        }
        var members: [String: Value] = ["unacknowledged": .array(taken)]
        if !named.isEmpty {
            members["unacknowledged_recorded"] = .array(
                named.map { key, range in
                    [
                        "destination": .string(key.destination),
                        "incarnation": .integer(Int64(key.incarnation)),
                        "sequences": [
                            .integer(Int64(clamping: range.lowerBound)),
                            .integer(Int64(clamping: range.upperBound)),
                        ],
                    ]
                })
        }
        return members
    }

    /// What the next incarnation would otherwise have to read in all former histories.
    public var keptPast: OwnHistory {
        let marks = recorded.map { key, last in
            OwnHistory.Mark(
                flow: key.flow, incarnation: key.incarnation, next: last + 1,
                abandoned: receiver.abandoned(key, atMost: receiver.limits.abandonedGaps)
                    .filter { $0.upperBound <= last })
        }
        return OwnHistory(agent: name, marks: marks, unacknowledged: unacknowledged.all)
    }
}
