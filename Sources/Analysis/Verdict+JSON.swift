public import JSON
internal import Wire

/// An object of the members that are there.
private func object(_ members: (String, Value?)...) -> Value {
    .object(
        Dictionary(
            members.compactMap { name, value in value.map { (name, $0) } },
            uniquingKeysWith: { first, _ in first }))
}

extension Verdict {
    /// The contents of `verdict.json`; fields whose feature does not exist are absent.
    public var json: Value {
        object(
            ("schema", Value(Self.schema)), ("schema_minor", Value(Self.schemaMinor)),
            ("scenario", .string(scenario)), ("topology", .string(topology)),
            ("run", .string(run)),
            // A seed is any 64 bits: above Int64's largest it goes as text, exact either way.
            ("seed", Int64(exactly: seed).map(Value.integer) ?? .string(String(seed))),
            ("plan_digest", planDigest.map(Value.string)),
            ("started", .string(Timestamp.text(started))),
            ("duration_ms", Value(durationMilliseconds)),
            ("verdict", .string(verdict.rawValue)), ("outcome", .string(outcome.rawValue)),
            ("expect", .string(expect.word)), ("as_expected", .bool(isAsExpected)),
            ("reason", .string(reason)), ("steps", .array(steps.map(\.json))),
            ("delivery", delivery?.json), ("comparison", comparison?.json),
            ("noise", noise.map { .array($0.map(\.json)) }), ("latency", latency?.json),
            ("judgements", judgements.isEmpty ? nil : .array(judgements.map(\.json))),
            ("moves", .array(moves.map(\.json))),
            ("rollback_ms", rollbackMilliseconds.map { Value($0) }),
            ("faults", .array(faults.map(\.json))),
            ("pools", pools.isEmpty ? nil : .array(pools.map(\.json))),
            ("memory", memory.isEmpty ? nil : .array(memory.map(\.json))),
            ("observed", observed.isEmpty ? nil : .array(observed.map(\.json))),
            ("leaks", leaks.json),
            ("findings", .array(findings.map(\.json))),
            ("unproven", unproven.isEmpty ? nil : .array(unproven.map(Value.string))))
    }
}

extension StepReport {
    var json: Value {
        object(
            ("name", .string(name)), ("kind", .string(kind)),
            ("started_ms", Value(startedMilliseconds)),
            ("duration_ms", Value(durationMilliseconds)),
            ("verdict", .string(verdict.rawValue)), ("reason", .string(reason)))
    }
}

extension DeviationCounts {
    /// The classes that a fault can explain: nothing explains an envelope that nobody sent.
    static let explainable = classes.filter { $0 != .unexpected }

    fileprivate func json(_ classes: [Deviation]) -> [String: Value] {
        Dictionary(uniqueKeysWithValues: classes.map { ($0.rawValue, Value(self[$0])) })
    }
}

extension DeliveryCounts {
    var json: Value {
        var members = deviations.json(DeviationCounts.classes)
        members["sent"] = Value(sent)
        members["expected"] = Value(expected)
        members["delivered"] = Value(delivered)
        members["acknowledged"] = acknowledged.map { Value($0) }
        members["at_least_once"] = atLeastOnce?.json
        members["dropped"] = Value(dropped)
        members["inferred"] = Value(inferred)
        members["explained"] = .object(explained.json(DeviationCounts.explainable))
        members["unexplained"] = .object(unexplained.json(DeviationCounts.explainable))
        return .object(members)
    }
}

extension ComparisonCounts {
    var json: Value {
        var members: [String: Value] = ["mode": .string(mode.rawValue), "match": Value(match)]
        for deviation in Self.classes { members[deviation.rawValue] = Value(self[deviation]) }
        return .object(members)
    }
}

extension Noise {
    var json: Value { object(("path", .string(path)), ("rate", .double(rate))) }
}

extension Latency {
    var json: Value {
        var members = transports.mapValues { transport in
            object(
                ("n", Value(transport.count)), ("p50_us", .double(transport.p50Microseconds)),
                ("p99_us", .double(transport.p99Microseconds)),
                ("max_us", .double(transport.maxMicroseconds)))
        }
        members["p50_ratio"] = p50Ratio.map(Value.double)
        members["p99_ratio"] = p99Ratio.map(Value.double)
        return .object(members)
    }
}

extension LatencyJudgement {
    var json: Value {
        object(
            ("name", .string(name)), ("n_reference", Value(referenceCount)), ("n", Value(count)),
            ("u", statistic.map(Value.double)), ("p", probability.map(Value.double)),
            ("shift_us", shift?.json), ("p50_ratio", p50?.json), ("p99_ratio", p99?.json),
            ("verdict", .string(verdict.rawValue)), ("reason", .string(reason)))
    }
}

extension Estimate {
    var json: Value {
        // JSON has no infinity: a ratio to 0 has no number.
        func number(_ value: Double) -> Value { value.isFinite ? .double(value) : .null }
        return ["value": number(value), "low": number(low), "high": number(high)]
    }

    init?(_ json: Value?) {
        guard let json, json.object != nil else { return nil }
        func number(_ name: String) -> Double { json[name]?.double ?? .infinity }
        let low = number("low")
        self.init(number("value"), in: low...max(low, number("high")))
    }
}

extension MoveReport: CustomStringConvertible {
    /// One line for people.
    public var description: String {
        let cost =
            switch strategy {
            case .live: "nothing sent for \(pauseMicroseconds) us"
            case .restart: "down for \(windowMilliseconds) ms"
            }
        let end = convergedMilliseconds.map { ", settled \($0) ms after the fault" } ?? ""
        return "\(agent) \(from) -> \(to), \(strategy.rawValue): \(outcome), \(cost)\(end)"
    }

    /// As the verdict has it.
    public var json: Value {
        object(
            ("agent", .string(agent)), ("from", .string(from)), ("to", .string(to)),
            ("strategy", .string(strategy.rawValue)), ("pause_us", Value(pauseMicroseconds)),
            ("window_ms", Value(windowMilliseconds)),
            ("duration_ms", Value(durationMilliseconds)), ("in_flight", Value(inFlight)),
            ("failed_step", failedStep.map(Value.string)),
            ("converged_ms", convergedMilliseconds.map { Value($0) }),
            ("outcome", .string(outcome)))
    }
}

extension FaultReport {
    var json: Value {
        object(
            ("id", .string(id)), ("kind", .string(kind)), ("target", .string(target)),
            ("started_ms", Value(startedMilliseconds)),
            ("healed_ms", healedMilliseconds.map { Value($0) }), ("touched", Value(touched)))
    }
}

extension PoolReport {
    var json: Value {
        object(
            ("name", .string(name)), ("slot_bytes", Value(slotSize)), ("slots", Value(slots)),
            ("loans", Value(loans)), ("reads", Value(reads)), ("expired", Value(expired)),
            ("unread", Value(unread)), ("reclaimed", Value(reclaimed)),
            ("corrupted", Value(corrupted)), ("refused", Value(refused)))
    }
}

extension MemoryReport {
    var json: Value {
        object(
            ("process", .string(process)), ("incarnation", Value(incarnation)),
            ("role", .string(role.rawValue)), ("samples", Value(samples)),
            ("early_bytes", early.map { Value($0) }), ("late_bytes", late.map { Value($0) }),
            ("peak_bytes", Value(peak)))
    }
}

extension ObservedAgent {
    var json: Value {
        object(
            ("agent", .string(agent)), ("at", .object(places.mapValues { .string($0) })),
            ("answers", .array(answers.map { .string($0) })), ("limits", .string(limits)))
    }
}

extension Leaks {
    var json: Value {
        object(
            ("processes", Value(processes)), ("ports", Value(ports)),
            ("sockets", Value(sockets)), ("segments", Value(segments)), ("files", Value(files)))
    }
}

extension Finding {
    var json: Value {
        object(
            ("severity", .string(severity.rawValue)), ("class", .string(deviation.rawValue)),
            ("flow", flow.map { .string($0.description) }),
            ("incarnation", incarnation.map { Value($0) }),
            ("sequence", sequence.map { Value($0) }), ("path", path.map(Value.string)),
            ("receiver", receiver.map(Value.string)), ("fault", fault.map(Value.string)),
            ("reason", .string(reason)))
    }
}
