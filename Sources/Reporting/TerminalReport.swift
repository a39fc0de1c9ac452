public import Analysis
internal import Wire

/// A run's verdict as a person likes to read it at the end of the run.
public struct TerminalReport: Sendable {
    /// Findings that are shown; the rest is counted.
    public static let findingsMax = 20

    private let verdict: Verdict
    private let directory: String?

    /// A report on a verdict.
    ///
    /// - Parameters:
    ///   - verdict: What the run showed.
    ///   - directory: Where everything else about the run stands, to be named last.
    public init(_ verdict: Verdict, directory: String? = nil) {
        self.verdict = verdict
        self.directory = directory
    }

    /// The report's text; ends with a line break.
    ///
    /// - Parameters:
    ///   - colour: Whether the terminal shows ANSI styles.
    ///   - width: Columns of the terminal; what does not fit is cut.
    /// - Returns: The lines.
    public func text(colour: Bool, width: Int = 100) -> String {
        let page = Page(ink: Ink(hasColour: colour), width: max(40, width))
        let sections = [
            steps(page), delivery(page), comparison(page), latency(page), judgements(page),
            moves(page),
            faults(page), pools(page), memory(page), observed(page), findings(page),
            unproven(page), ending(page),
        ]
        let shown = [head(page)] + sections.filter { !$0.isEmpty }
        return shown.map { $0.joined(separator: "\n") }.joined(separator: "\n\n") + "\n"
    }

    /// What all sections share.
    private struct Page {
        let ink: Ink
        let width: Int

        func section(_ title: String, _ table: Table) -> [String] {
            [ink.text(title, .bold)] + table.lines(ink, width: width)
        }
    }

    private static func style(_ judgement: Judgement) -> Style {
        switch judgement {
        case .pass: .good
        case .fail: .bad
        case .inconclusive: .doubtful
        }
    }

    private func head(_ page: Page) -> [String] {
        let word = verdict.verdict.rawValue.uppercased()
        let outcome = verdict.outcome.rawValue.replacing("_", with: " ")
        let duration = Numbers.duration(milliseconds: verdict.durationMilliseconds)
        let line =
            page.ink.text(word, Self.style(verdict.verdict)) + "  "
            + page.ink.text(verdict.scenario, .bold)
            + "  \(outcome) after \(duration), seed \(verdict.seed)"
        var lines = [line]
        lines += Text.wrapped(verdict.reason, width: page.width - 2).map { "  " + $0 }
        switch (verdict.isAsExpected, verdict.expect) {
        case (true, .verdict(.pass)): break
        case (true, let expected): lines.append("  As expected: \(expected.word).")
        case (false, let expected):
            lines.append("  " + page.ink.text("Expected: \(expected.word).", .bad))
        }
        return lines
    }

    private func steps(_ page: Page) -> [String] {
        guard !verdict.steps.isEmpty else { return [] }
        var table = Table([.left, .left, .right, .left, .left])
        for step in verdict.steps {
            table.add([
                .init(step.name), .init(step.kind, .dim),
                .init(Numbers.duration(milliseconds: step.durationMilliseconds)),
                .init(step.verdict.rawValue, Self.style(step.verdict)), .init(step.reason),
            ])
        }
        return page.section("Steps", table)
    }

    private func delivery(_ page: Page) -> [String] {
        guard let delivery = verdict.delivery else { return [] }
        var table = Table([.left, .right, .right, .right])
        table.add([
            "", .init("total", .dim), .init("explained", .dim), .init("unexplained", .dim),
        ])
        table.add(["sent", .init(Numbers.grouped(delivery.sent))])
        table.add(["expected", .init(Numbers.grouped(delivery.expected))])
        table.add(["delivered", .init(Numbers.grouped(delivery.delivered))])
        if let acknowledged = delivery.acknowledged {
            table.add(["acknowledged", .init(Numbers.grouped(acknowledged))])
        }
        for (name, count, isGrave) in Self.rows(of: delivery.atLeastOnce) {
            table.add([
                .init(name), .init(Numbers.grouped(count), isGrave && count > 0 ? .bad : .plain),
            ])
        }
        for deviation in DeviationCounts.classes {
            let unexplained = delivery.unexplained[deviation]
            table.add([
                .init(deviation.rawValue),
                .init(Numbers.grouped(delivery.deviations[deviation])),
                .init(Numbers.grouped(delivery.explained[deviation])),
                .init(Numbers.grouped(unexplained), unexplained > 0 ? .bad : .good),
            ])
        }
        var lines = page.section("Delivery", table)
        if delivery.deviations.lost > 0 {
            lines.append(
                "  Of the lost, \(Numbers.grouped(delivery.dropped)) were dropped with a reason "
                    + "and \(Numbers.grouped(delivery.inferred)) are inferred.")
        }
        return lines
    }

    private static func rows(
        of kept: KeptCounts?
    ) -> [(name: String, count: Int, isGrave: Bool)] {
        guard let kept else { return [] }
        let rows = [
            ("at least once: sent", kept.sent, false),
            ("  delivered", kept.delivered, false),
            ("  acknowledged", kept.acknowledged, false),
            ("  repeats dropped", kept.repeatsDropped, false),
            ("  lost", kept.lost, true),
            ("  wrongly acknowledged", kept.wronglyAcknowledged, true),
            ("  delivered, unacknowledged", kept.unacknowledged, false),
        ]
        // Only of programs that do not do what the topology says of them.
        let broken = [
            ("  sent at most once", kept.sentAtMostOnce, true),
            ("  never acknowledged", kept.neverAcknowledged, true),
        ]
        return rows + broken.filter { $0.1 > 0 }
    }

    private func comparison(_ page: Page) -> [String] {
        guard let comparison = verdict.comparison else { return [] }
        var table = Table([.left, .right])
        table.add(["match", .init(Numbers.grouped(comparison.match))])
        for deviation in ComparisonCounts.classes {
            let count = comparison[deviation]
            let isGrave = ![.tolerated, .ignored, .undecidable].contains(deviation)
            table.add([
                .init(deviation.rawValue),
                .init(
                    Numbers.grouped(count),
                    count == 0 ? .plain : isGrave ? .bad : .doubtful),
            ])
        }
        return page.section("Comparison (\(comparison.mode.rawValue))", table)
    }

    private func latency(_ page: Page) -> [String] {
        guard let latency = verdict.latency, !latency.transports.isEmpty else { return [] }
        var table = Table([.left, .right, .right, .right, .right])
        table.add([
            "", .init("n", .dim), .init("p50", .dim), .init("p99", .dim), .init("max", .dim),
        ])
        // ZeroMQ first: it is what the other is measured against.
        let names = ["zmq", "nats"] + latency.transports.keys.sorted()
        var shown: Set<String> = []
        for name in names where shown.insert(name).inserted {
            guard let transport = latency.transports[name] else { continue }
            table.add([
                .init(name), .init(Numbers.grouped(transport.count)),
                .init(Numbers.duration(microseconds: transport.p50Microseconds)),
                .init(Numbers.duration(microseconds: transport.p99Microseconds)),
                .init(Numbers.duration(microseconds: transport.maxMicroseconds)),
            ])
        }
        if let p50 = latency.p50Ratio, let p99 = latency.p99Ratio {
            table.add([
                "nats / zmq", "", .init(Numbers.fixed(p50, 2) + " x"),
                .init(Numbers.fixed(p99, 2) + " x"),
            ])
        }
        return page.section("Latency", table)
    }

    private func judgements(_ page: Page) -> [String] {
        guard !verdict.judgements.isEmpty else { return [] }
        var table = Table([.left, .right, .right, .right, .right, .right, .right, .left])
        table.add([
            .init("judged", .dim), .init("n", .dim), .init("beside", .dim), .init("U", .dim),
            .init("p", .dim), .init("p50", .dim), .init("p99", .dim), .init("verdict", .dim),
        ])
        func text(_ estimate: Estimate?) -> String {
            guard let estimate else { return "" }
            return "\(Numbers.fixed(estimate.value, 2)) x (\(Numbers.fixed(estimate.low, 2)) to "
                + "\(Numbers.fixed(estimate.high, 2)))"
        }
        for judgement in verdict.judgements {
            table.add([
                .init(judgement.name), .init(Numbers.grouped(judgement.count)),
                .init(Numbers.grouped(judgement.referenceCount)),
                .init(judgement.statistic.map { Numbers.fixed($0, 0) } ?? ""),
                .init(
                    judgement.probability.map { $0 < 0.0001 ? "< 0.0001" : Numbers.fixed($0, 4) }
                        ?? ""),
                .init(text(judgement.p50)), .init(text(judgement.p99)),
                .init(judgement.verdict.rawValue, Self.style(judgement.verdict)),
            ])
        }
        return page.section("Judgement", table)
            + verdict.judgements.filter { $0.verdict != .pass }.map { "  " + $0.reason }
    }

    private func moves(_ page: Page) -> [String] {
        guard !verdict.moves.isEmpty else { return [] }
        var table = Table([.left, .left, .left, .right, .right, .left])
        table.add([
            .init("agent", .dim), .init("move", .dim), .init("by", .dim),
            .init("sent nothing", .dim),
            .init("held", .dim), .init("outcome", .dim),
        ])
        let failed = verdict.moves.filter { $0.outcome != "moved" }
        // Those that failed first: where there are many, they are what is looked for.
        let told =
            verdict.moves.count <= Self.movesMax
            ? verdict.moves : Array(failed.prefix(Self.movesMax))
        for move in told {
            let step = move.failedStep.map { ", '\($0)' missed its deadline" } ?? ""
            table.add([
                .init(move.agent), .init("\(move.from) -> \(move.to)"),
                .init(move.strategy.rawValue),
                .init(Numbers.duration(microseconds: Double(move.pauseMicroseconds))),
                .init(Numbers.grouped(move.inFlight)), .init(move.outcome + step),
            ])
        }
        var lines = page.section("Moves", table)
        if told.isEmpty { lines = Array(lines.prefix(1)) }
        if told.count < verdict.moves.count { lines.append(summary(of: verdict.moves, failed)) }
        if let rollback = verdict.rollbackMilliseconds {
            lines.append("  Rolled back in \(Numbers.duration(milliseconds: rollback)).")
        }
        return lines
    }

    /// More moves than this are told together.
    private static let movesMax = 24

    private func summary(of moves: [MoveReport], _ failed: [MoveReport]) -> String {
        let pauses = moves.map(\.pauseMicroseconds).sorted()
        func pause(_ part: Double) -> String {
            // The nearest rank.
            let rank = Int((part * Double(pauses.count)).rounded(.up)) - 1
            return Numbers.duration(
                microseconds: Double(pauses[min(max(rank, 0), pauses.count - 1)]))
        }
        return
            "  \(Numbers.grouped(moves.count)) moves, \(Numbers.grouped(failed.count)) of them not done. "
            + "Nothing sent for \(pause(0.5)) (p50), \(pause(0.99)) (p99), \(pause(1)) (max)."
    }

    private func faults(_ page: Page) -> [String] {
        guard !verdict.faults.isEmpty else { return [] }
        var table = Table([.left, .left, .right, .right, .left])
        for fault in verdict.faults {
            let end = fault.healedMilliseconds.map {
                "healed at \(Numbers.duration(milliseconds: $0))"
            }
            table.add([
                .init(fault.id), .init("\(fault.kind) \(fault.target)"),
                .init("at \(Numbers.duration(milliseconds: fault.startedMilliseconds))"),
                .init(end ?? "never healed"),
                .init(
                    fault.touched == 0
                        ? "touched nothing"
                        : "touched \(Numbers.grouped(fault.touched)) deliveries",
                    fault.touched == 0 ? .doubtful : .plain),
            ])
        }
        return page.section("Faults", table)
    }

    private func pools(_ page: Page) -> [String] {
        guard !verdict.pools.isEmpty else { return [] }
        var table = Table([.left, .left, .right, .right, .right, .right, .right])
        table.add(
            ["", "", "written", "read", "unread", "altered", "refused"].map { .init($0, .dim) })
        for pool in verdict.pools {
            table.add([
                .init(pool.name),
                .init("\(pool.slots) x \(Numbers.grouped(pool.slotSize)) bytes"),
                .init(Numbers.grouped(pool.loans)), .init(Numbers.grouped(pool.reads)),
                .init(Numbers.grouped(pool.expired + pool.unread)),
                .init(Numbers.grouped(pool.corrupted), pool.corrupted > 0 ? .bad : .plain),
                .init(Numbers.grouped(pool.refused), pool.refused > 0 ? .doubtful : .plain),
            ])
        }
        return page.section("Shared memory", table)
    }

    private func memory(_ page: Page) -> [String] {
        Self.memoryTable(of: verdict.memory).map { page.section("Memory", $0) } ?? []
    }

    private func observed(_ page: Page) -> [String] {
        guard !verdict.observed.isEmpty else { return [] }
        var table = Table([.left, .left, .left])
        for agent in verdict.observed {
            let places = agent.places.sorted { $0.key > $1.key }
            if places.isEmpty { table.add([.init(agent.agent), "", "observed nowhere"]) }
            for (index, place) in places.enumerated() {
                table.add([
                    .init(index == 0 ? agent.agent : ""), .init(place.key),
                    .init("observed at the \(place.value)"),
                ])
            }
        }
        var lines = page.section("Agents without a history", table)
        lines.append("  Delivered means: handed to their socket.")
        for agent in verdict.observed {
            lines += Text.wrapped("\(agent.agent): \(agent.limits)", width: page.width - 2)
                .map { "  " + $0 }
        }
        return lines
    }

    private func findings(_ page: Page) -> [String] {
        guard !verdict.findings.isEmpty else { return [] }
        var lines = [page.ink.text("Findings", .bold)]
        for finding in verdict.findings.prefix(Self.findingsMax) {
            let style: Style =
                switch finding.severity {
                case .error: .bad
                case .warning: .doubtful
                case .note: .dim
                }
            let line = "\(finding.deviation.rawValue)  \(finding.place)"
            lines.append(
                "  " + page.ink.text(finding.severity.rawValue, style) + "  "
                    + Text.cut(line, to: page.width - finding.severity.rawValue.count - 4))
            lines.append("    " + Text.cut(finding.reason, to: page.width - 4))
        }
        let more = verdict.findings.count - Self.findingsMax
        if more > 0 { lines.append("  … and \(Numbers.grouped(more)) more") }
        return lines
    }

    /// Beside whatever was shown stands what could not be.
    private func unproven(_ page: Page) -> [String] {
        guard !verdict.unproven.isEmpty else { return [] }
        var lines = [page.ink.text("Not proven", .bold)]
        for text in verdict.unproven {
            for (index, line) in Text.wrapped(text.asSentence, width: page.width - 4).enumerated() {
                lines.append((index == 0 ? "  - " : "    ") + line)
            }
        }
        return lines
    }

    private func ending(_ page: Page) -> [String] {
        let leaks = verdict.leaks
        let left = [
            (leaks.processes, "process", "processes"), (leaks.ports, "port", "ports"),
            (leaks.sockets, "socket", "sockets"), (leaks.segments, "segment", "segments"),
            (leaks.files, "file", "files"),
        ].filter { $0.0 > 0 }.map { "\($0.0) \($0.0 == 1 ? $0.1 : $0.2)" }
        var lines = [
            left.isEmpty
                ? "Nothing left behind."
                : page.ink.text("Left behind: \(left.joined(separator: ", ")).", .bad)
        ]
        if let directory { lines.append("Run directory: \(directory)") }
        return lines
    }
}

extension Finding {
    /// Flow, incarnation, sequence, receiver and path, as far as they are there.
    var place: String {
        var text = identity?.description ?? ""
        // An agent's own flow names its receiver already.
        if let receiver, !receiver.isEmpty, flow?.destination.name != receiver {
            text += " at \(receiver)"
        }
        if let path { text += " \(path)" }
        if let fault { text += " (\(fault))" }
        return text.isEmpty ? "the run" : text
    }
}

extension String {
    /// Begins with a capital letter and ends with a full stop.
    fileprivate var asSentence: String {
        prefix(1).uppercased() + dropFirst() + (hasSuffix(".") ? "" : ".")
    }
}
