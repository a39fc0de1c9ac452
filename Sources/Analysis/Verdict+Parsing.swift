public import JSON
internal import Wire

/// Why a JSON value is no verdict.
public struct VerdictError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The field that does not fit.
    public let field: String
    /// What is wrong with it.
    public let reason: String

    /// One line for a person, with the remedy.
    public var description: String {
        "verdict.json: '\(field)' \(reason); was it written by another version of synmesh?"
    }
}

/// Reads members, and knows where it is when one does not fit.
private struct Fields {
    let value: Value
    let place: String

    func error(_ name: String, _ reason: String) -> VerdictError {
        VerdictError(field: place + name, reason: reason)
    }

    func string(_ name: String) throws(VerdictError) -> String {
        guard let text = value[name]?.string else { throw error(name, "should be a string") }
        return text
    }

    func integer(_ name: String) throws(VerdictError) -> Int {
        guard let number = value[name]?.integer else { throw error(name, "should be an integer") }
        return Int(number)
    }

    func optionalInteger(_ name: String) throws(VerdictError) -> Int? {
        value[name] == nil ? nil : try integer(name)
    }

    func number(_ name: String) throws(VerdictError) -> Double {
        guard let number = value[name]?.double else { throw error(name, "should be a number") }
        return number
    }

    func word<Word: RawRepresentable>(
        _ name: String, _: Word.Type = Word.self
    ) throws(VerdictError) -> Word where Word.RawValue == String {
        guard let word = Word(rawValue: try string(name)) else {
            throw error(name, "is an unknown word")
        }
        return word
    }

    func object(_ name: String) throws(VerdictError) -> Fields? {
        guard let member = value[name] else { return nil }
        guard member.object != nil else { throw error(name, "should be an object") }
        return Fields(value: member, place: "\(place)\(name).")
    }

    func list<Element>(
        _ name: String, _ read: (Fields) throws(VerdictError) -> Element
    ) throws(VerdictError) -> [Element] {
        guard let member = value[name] else { return [] }
        guard let elements = member.array else { throw error(name, "should be a list") }
        var found: [Element] = []
        for (index, element) in elements.enumerated() {
            found.append(try read(Fields(value: element, place: "\(place)\(name)[\(index)].")))
        }
        return found
    }
}

extension Verdict {
    /// Reads what `json` wrote, so that a report can be made of an old run.
    ///
    /// Members that this version does not know are passed over: a newer minor schema may add some.
    ///
    /// - Throws: `VerdictError` that names the first field that does not fit.
    public init(json value: Value) throws(VerdictError) {
        let fields = Fields(value: value, place: "")
        guard try fields.integer("schema") == Self.schema else {
            throw fields.error("schema", "should be \(Self.schema)")
        }
        guard
            let seed = value["seed"]?.integer.map({ UInt64(bitPattern: $0) })
                ?? value["seed"]?.string.flatMap({ UInt64($0) })
        else { throw fields.error("seed", "should be an integer") }
        guard let started = Timestamp.nanoseconds(of: try fields.string("started")) else {
            throw fields.error("started", "should be a time such as 2026-01-31T12:00:00.000Z")
        }
        self.init(
            scenario: try fields.string("scenario"), topology: try fields.string("topology"),
            run: try fields.string("run"), seed: seed, started: started,
            durationMilliseconds: try fields.integer("duration_ms"),
            verdict: try fields.word("verdict"), outcome: try fields.word("outcome"),
            reason: try fields.string("reason"))
        guard let expect = Expectation(try fields.string("expect")) else {
            throw fields.error("expect", "is an unknown word")
        }
        self.expect = expect
        planDigest = value["plan_digest"]?.string
        rollbackMilliseconds = value["rollback_ms"]?.integer.map { Int($0) }
        steps = try fields.list("steps", StepReport.read)
        delivery = try fields.object("delivery").map(DeliveryCounts.read)
        comparison = try fields.object("comparison").map(ComparisonCounts.read)
        if value["noise"] != nil { noise = try fields.list("noise", Noise.read) }
        latency = try fields.object("latency").map(Latency.read)
        judgements = try fields.list("judgements", LatencyJudgement.read)
        moves = try fields.list("moves", MoveReport.read)
        faults = try fields.list("faults", FaultReport.read)
        pools = try fields.list("pools", PoolReport.read)
        memory = try fields.list("memory", MemoryReport.read)
        observed = try fields.list("observed", ObservedAgent.read)
        if let leaks = try fields.object("leaks") { self.leaks = try Leaks.read(leaks) }
        findings = try fields.list("findings", Finding.read)
        unproven = value["unproven"]?.array?.compactMap(\.string) ?? []
    }
}

extension StepReport {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> StepReport {
        StepReport(
            name: try fields.string("name"), kind: try fields.string("kind"),
            startedMilliseconds: try fields.integer("started_ms"),
            durationMilliseconds: try fields.integer("duration_ms"),
            verdict: try fields.word("verdict"), reason: try fields.string("reason"))
    }
}

extension DeviationCounts {
    fileprivate static func read(
        _ fields: Fields, _ classes: [Deviation]
    ) throws(VerdictError) -> DeviationCounts {
        var counts = DeviationCounts()
        for deviation in classes { counts[deviation] = try fields.integer(deviation.rawValue) }
        return counts
    }
}

extension DeliveryCounts {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> DeliveryCounts {
        var counts = DeliveryCounts()
        counts.sent = try fields.integer("sent")
        counts.expected = try fields.integer("expected")
        counts.delivered = try fields.integer("delivered")
        counts.acknowledged = fields.value["acknowledged"]?.integer.map { Int($0) }
        if let kept = try fields.object("at_least_once") {
            var read = KeptCounts()
            for member in KeptCounts.members where kept.value[member.name] != nil {
                read[keyPath: member.path] = try kept.integer(member.name)
            }
            counts.atLeastOnce = read
        }
        counts.dropped = try fields.integer("dropped")
        counts.inferred = try fields.integer("inferred")
        counts.deviations = try DeviationCounts.read(fields, DeviationCounts.classes)
        if let explained = try fields.object("explained") {
            counts.explained = try DeviationCounts.read(explained, DeviationCounts.explainable)
        }
        return counts
    }
}

extension ComparisonCounts {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> ComparisonCounts {
        var counts = ComparisonCounts(mode: try fields.word("mode"))
        counts.match = try fields.integer("match")
        for deviation in classes { counts[deviation] = try fields.integer(deviation.rawValue) }
        return counts
    }
}

extension Noise {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> Noise {
        Noise(path: try fields.string("path"), rate: try fields.number("rate"))
    }
}

extension Latency {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> Latency {
        var transports: [String: Percentiles] = [:]
        for name in ["zmq", "nats", "inproc"] {
            guard let transport = try fields.object(name) else { continue }
            transports[name] = Percentiles(
                count: try transport.integer("n"),
                p50Microseconds: try transport.number("p50_us"),
                p99Microseconds: try transport.number("p99_us"),
                maxMicroseconds: try transport.number("max_us"))
        }
        return Latency(transports: transports)
    }
}

extension LatencyJudgement {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> LatencyJudgement {
        var judgement = LatencyJudgement(
            try fields.string("name"), referenceCount: try fields.integer("n_reference"),
            count: try fields.integer("n"), try fields.word("verdict"),
            reason: try fields.string("reason"))
        judgement.statistic = fields.value["u"]?.double
        judgement.probability = fields.value["p"]?.double
        judgement.shift = Estimate(fields.value["shift_us"])
        judgement.p50 = Estimate(fields.value["p50_ratio"])
        judgement.p99 = Estimate(fields.value["p99_ratio"])
        return judgement
    }
}

extension MoveReport {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> MoveReport {
        var report = MoveReport(
            agent: try fields.string("agent"), from: try fields.string("from"),
            to: try fields.string("to"), strategy: try fields.word("strategy"),
            pauseMicroseconds: try fields.integer("pause_us"),
            windowMilliseconds: try fields.integer("window_ms"),
            durationMilliseconds: try fields.integer("duration_ms"),
            inFlight: try fields.integer("in_flight"),
            failedStep: fields.value["failed_step"]?.string,
            outcome: try fields.string("outcome"))
        report.convergedMilliseconds = fields.value["converged_ms"]?.integer.map { Int($0) }
        return report
    }
}

extension FaultReport {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> FaultReport {
        FaultReport(
            id: try fields.string("id"), kind: try fields.string("kind"),
            target: try fields.string("target"),
            startedMilliseconds: try fields.integer("started_ms"),
            healedMilliseconds: fields.value["healed_ms"]?.integer.map { Int($0) },
            touched: try fields.integer("touched"))
    }
}

extension PoolReport {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> PoolReport {
        PoolReport(
            name: try fields.string("name"), slotSize: try fields.integer("slot_bytes"),
            slots: try fields.integer("slots"), loans: try fields.integer("loans"),
            reads: try fields.integer("reads"), expired: try fields.integer("expired"),
            unread: try fields.integer("unread"), reclaimed: try fields.integer("reclaimed"),
            corrupted: try fields.integer("corrupted"), refused: try fields.integer("refused"))
    }
}

extension MemoryReport {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> MemoryReport {
        MemoryReport(
            process: try fields.string("process"),
            incarnation: UInt32(clamping: try fields.integer("incarnation")),
            role: try fields.word("role"), samples: try fields.integer("samples"),
            early: try fields.optionalInteger("early_bytes"),
            late: try fields.optionalInteger("late_bytes"),
            peak: try fields.integer("peak_bytes"))
    }
}

extension Leaks {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> Leaks {
        Leaks(
            processes: try fields.integer("processes"), ports: try fields.integer("ports"),
            sockets: try fields.integer("sockets"), segments: try fields.integer("segments"),
            files: try fields.integer("files"))
    }
}

extension Finding {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> Finding {
        var finding = Finding(
            try fields.word("severity"), try fields.word("class"),
            path: fields.value["path"]?.string, receiver: fields.value["receiver"]?.string,
            fault: fields.value["fault"]?.string, reason: try fields.string("reason"))
        if let flow = fields.value["flow"]?.string {
            guard let separator = flow.split(separator: " -> ").first, separator.count < flow.count
            else { throw fields.error("flow", "should be 'source -> destination'") }
            finding.flow = Flow(
                source: String(separator),
                destination: Address(flow.dropFirst(separator.count + " -> ".count)))
        }
        finding.incarnation = fields.value["incarnation"]?.integer.flatMap { UInt32(exactly: $0) }
        finding.sequence = fields.value["sequence"]?.integer.flatMap { UInt64(exactly: $0) }
        return finding
    }
}

extension ObservedAgent {
    fileprivate static func read(_ fields: Fields) throws(VerdictError) -> ObservedAgent {
        ObservedAgent(
            agent: try fields.string("agent"),
            places: (fields.value["at"]?.object ?? [:]).compactMapValues(\.string),
            answers: (fields.value["answers"]?.array ?? []).compactMap(\.string),
            limits: try fields.string("limits"))
    }
}
