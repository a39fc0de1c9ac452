import Recording
import Testing
import Wire

@testable import Analysis

private let direct = SyntheticMesh.direct
private let topic = SyntheticMesh.topic
private let start = SyntheticMesh.start

/// Who is owed what: subscriptions, foreign agents, proxies.
@Suite struct ExpectationTests {
    /// A topic's n-th envelope is sent at `start + (2n - 1) µs`.
    private func mesh(
        subscribed: UInt64?, unsubscribed: UInt64? = nil, again: UInt64? = nil
    ) -> SyntheticMesh {
        var mesh = SyntheticMesh()
        mesh.histories["gamma"]?.annotations = []
        if let subscribed {
            mesh.annotate("gamma", .subscribed(agent: "gamma", topic: "tot", at: subscribed))
        }
        if let unsubscribed {
            mesh.annotate("gamma", .unsubscribed(agent: "gamma", topic: "tot", at: unsubscribed))
        }
        if let again {
            mesh.annotate("gamma", .subscribed(agent: "gamma", topic: "tot", at: again))
        }
        return mesh
    }

    private func time(of sequence: UInt64) -> UInt64 { start + (2 * sequence - 1) * 1_000 }

    @Test("What was sent before the confirmation is allowed, neither owed nor unexpected")
    func beforeConfirmation() {
        var mesh = mesh(subscribed: time(of: 101))
        let report = Delivery.check(mesh.all)
        #expect(report.allowed == 100)
        #expect(report.counts.expected == 2_000 - 100)
        #expect(report.counts.deviations.total == 0)
        mesh.lose(SyntheticMesh.identity(topic, 100), at: "gamma")
        #expect(Delivery.check(mesh.all).counts.deviations.total == 0)
        mesh.lose(SyntheticMesh.identity(topic, 101), at: "gamma")
        #expect(Delivery.check(mesh.all).counts.deviations == DeviationCounts(lost: 1))
    }

    @Test("What was sent after the end is allowed while it can be in flight, then unexpected")
    func afterEnd() {
        let mesh = mesh(subscribed: start - 1, unsubscribed: time(of: 401))
        #expect(Delivery.check(mesh.all).allowed == 100)
        #expect(Delivery.check(mesh.all).counts.deviations.total == 0)
        var scope = DeliveryScope()
        scope.flight = 2_000 * 9
        let report = Delivery.check(mesh.all, in: scope)
        #expect(report.allowed == 10)
        #expect(report.counts.deviations == DeviationCounts(unexpected: 90))
    }

    @Test("A receiver that never subscribed must not get a topic's envelope")
    func neverSubscribed() {
        let report = Delivery.check(mesh(subscribed: nil).all)
        #expect(report.counts.deviations == DeviationCounts(unexpected: 500))
    }

    @Test("A subscription that a restart confirms again went on meanwhile")
    func restartKeepsSubscription() {
        var mesh = mesh(subscribed: start - 1, again: time(of: 300))
        mesh.lose(SyntheticMesh.identity(topic, 299), at: "gamma")
        #expect(Delivery.check(mesh.all).counts.deviations == DeviationCounts(lost: 1))
    }

    @Test("Between an end and a new confirmation nothing is owed")
    func pause() {
        var mesh = mesh(
            subscribed: start - 1, unsubscribed: time(of: 100), again: time(of: 300))
        for sequence in 100..<300 {
            mesh.lose(SyntheticMesh.identity(topic, UInt64(sequence)), at: "gamma")
        }
        let report = Delivery.check(mesh.all)
        #expect(report.counts.expected == 2_000 - 200)
        #expect(report.counts.deviations.total == 0)
    }

    @Test(
        "Subscriptions match whole tokens",
        arguments: [("tot", 1), ("tot.results", 1), ("tot.res", 0), ("to", 0), ("other", 0)])
    func tokens(_ subscription: String, _ isOwed: Int) {
        var mesh = SyntheticMesh()
        mesh.annotate("beta", .subscribed(agent: "beta", topic: subscription, at: start - 1))
        #expect(Delivery.check(mesh.all).counts.deviations.lost == 500 * isOwed)
    }

    @Test("Messages that nobody could read are noted with their number and their sender")
    func unreadable() {
        var mesh = SyntheticMesh()
        for (count, from) in [(1, "old"), (2, "old"), (4, "")] {
            mesh.annotate(
                "gamma",
                .unreadable(count: count, from: from, reason: "no JSON", by: "core", at: start))
        }
        #expect(
            Delivery.check(mesh.all).notes == [
                "core: 4 messages of an unknown sender could not be read, were dropped and are in "
                    + "no count; the first: no JSON",
                "core: 3 messages of 'old' could not be read, were dropped and are in no count; "
                    + "the first: no JSON",
            ])
    }

    @Test("An agent without any history is unobserved, never silently expected")
    func unobserved() {
        var mesh = SyntheticMesh()
        mesh.histories["beta"] = nil
        let report = Delivery.check(mesh.all)
        #expect(report.unobserved == 500)
        #expect(report.counts.expected == 1_500)
        #expect(report.counts.deviations.total == 0)
        // Unless it is known to record: then its whole history is missing, and so is what it held.
        var scope = DeliveryScope()
        scope.observed = ["beta"]
        let known = Delivery.check(mesh.all, in: scope)
        #expect(known.counts.deviations.lost == 500)
        #expect(known.notes == ["beta: no history"])
    }

    @Test("What is dropped on its way to an agent without a history is lost, by name")
    func droppedUnobserved() {
        var mesh = SyntheticMesh()
        mesh.histories["beta"] = nil
        for sequence: UInt64 in [3, 500] {
            let identity = SyntheticMesh.identity(SyntheticMesh.direct, sequence)
            mesh.annotate(
                "alpha", .dropped(identity, reason: "unknown destination", by: "core", at: start))
        }
        let report = Delivery.check(mesh.all)
        #expect(report.unobserved == 498)
        #expect(report.counts.deviations.lost == 2)
        #expect(report.counts.dropped == 2)
        #expect(report.counts.expected == 1_502)
        #expect(report.findings.map(\.receiver) == ["beta", "beta"])
    }

    @Test("What its receiver had to number is counted apart: no sender's history can name it")
    func unidentified() {
        var mesh = SyntheticMesh()
        for sequence: UInt64 in 1...3 {
            mesh.invent(
                Identity(
                    flow: Flow(source: "script", destination: .agent("beta")), incarnation: 0,
                    sequence: sequence), at: "beta")
        }
        let report = Delivery.check(mesh.all)
        #expect(report.unidentified == 3)
        #expect(report.counts.deviations.total == 0)
    }

    @Test("A proxy speaks for an agent that keeps no history, and only for such")
    func proxies() {
        var mesh = SyntheticMesh()
        let records = mesh.histories["beta"]?.records ?? []
        mesh.histories["core"] = History(process: "core")
        for var record in records {
            record.agent = "core"
            mesh.append(record)
        }
        var scope = DeliveryScope()
        scope.proxies = ["core"]
        #expect(Delivery.check(mesh.all, in: scope).counts.deviations.total == 0)
        mesh.histories["beta"] = nil
        #expect(Delivery.check(mesh.all, in: scope).counts.delivered == 2_000)
        mesh.histories["core"]?.records.remove(at: 30)
        #expect(
            Delivery.check(mesh.all, in: scope).counts.deviations == DeviationCounts(lost: 1))
    }

    @Test("A late arrival that was delivered all the same is late, not lost and not in time")
    func lateAndDelivered() {
        var mesh = SyntheticMesh()
        let identity = SyntheticMesh.identity(direct, 9)
        mesh.annotate("beta", .late(identity, by: "beta", at: start + 50_000))
        let report = Delivery.check(mesh.all)
        #expect(report.counts.deviations == DeviationCounts(late: 1))
        #expect(report.counts.delivered == 1_999)
    }

    @Test("A gap that a receiver gave up gives the loss its reason")
    func gap() {
        var mesh = SyntheticMesh()
        mesh.lose(SyntheticMesh.identity(direct, 9), at: "beta")
        mesh.annotate(
            "beta",
            .gap(
                flow: direct, incarnation: 1, from: 9, through: 9, reason: "2 s are up",
                by: "beta", at: start))
        let report = Delivery.check(mesh.all)
        #expect(report.counts.inferred == 1)
        #expect(
            report.findings.first?.reason
                == "Sent, never delivered; 'beta' gave it up: 2 s are up.")
    }
}

/// What a fault explains, and what it does not.
@Suite struct ExplanationTests {
    private func report(
        _ fault: FaultWindow, _ plant: (inout SyntheticMesh) -> Void
    ) -> DeliveryReport {
        var mesh = SyntheticMesh()
        plant(&mesh)
        var scope = DeliveryScope(faults: [fault])
        scope.flight = 100_000
        return Delivery.check(mesh.all, in: scope)
    }

    private func fault(
        _ kind: String = "kill", reach: FaultWindow.Reach = .everything,
        from: UInt64 = 400, through: UInt64? = 600
    ) -> FaultWindow {
        FaultWindow(
            id: "f1", kind: kind, target: "nats", started: start + from * 1_000,
            healed: through.map { start + $0 * 1_000 }, reach: reach)
    }

    struct Case: CustomTestStringConvertible, Sendable {
        let name: String
        let fault: @Sendable (ExplanationTests) -> FaultWindow
        /// The direct flow's n-th envelope is sent at 2n - 2 µs.
        let sequence: UInt64
        let isExplained: Bool
        var testDescription: String { name }
    }

    static let cases: [Case] = [
        Case(name: "sent while it held", fault: { $0.fault() }, sequence: 250, isExplained: true),
        Case(
            name: "in flight when it began", fault: { $0.fault() }, sequence: 160,
            isExplained: true),
        Case(name: "long before", fault: { $0.fault() }, sequence: 100, isExplained: false),
        Case(name: "after it healed", fault: { $0.fault() }, sequence: 310, isExplained: false),
        Case(
            name: "never healed", fault: { $0.fault(through: nil) }, sequence: 500,
            isExplained: true),
        Case(
            name: "it touches the receiver", fault: { $0.fault(reach: .agents(["beta"])) },
            sequence: 250, isExplained: true),
        Case(
            name: "it touches the source", fault: { $0.fault(reach: .agents(["alpha"])) },
            sequence: 250, isExplained: true),
        Case(
            name: "it touches neither", fault: { $0.fault(reach: .agents(["gamma"])) },
            sequence: 250, isExplained: false),
        Case(
            name: "its kind loses nothing", fault: { $0.fault("corrupt") }, sequence: 250,
            isExplained: false),
    ]

    @Test("A loss is explained by a fault that held, touched it and can lose", arguments: cases)
    func losses(_ planted: Case) throws {
        let identity = SyntheticMesh.identity(direct, planted.sequence)
        let report = report(planted.fault(self)) { $0.lose(identity, at: "beta") }
        #expect(report.counts.deviations == DeviationCounts(lost: 1))
        #expect(report.counts.explained.lost == (planted.isExplained ? 1 : 0))
        #expect(report.counts.unexplained.lost == (planted.isExplained ? 0 : 1))
        let finding = try #require(report.findings.first)
        #expect(finding.fault == (planted.isExplained ? "f1" : nil))
        #expect(finding.severity == (planted.isExplained ? .warning : .error))
    }

    @Test(
        "A repeat and a swap are explained while the fault held, not after",
        arguments: [(100, false), (250, true), (310, false)] as [(UInt64, Bool)])
    func repeats(_ sequence: UInt64, _ isExplained: Bool) {
        let report = report(fault()) { mesh in
            mesh.repeatDelivery(SyntheticMesh.identity(direct, sequence), at: "beta")
            mesh.swap(SyntheticMesh.identity(direct, sequence + 3), at: "beta")
        }
        let planted = DeviationCounts(duplicated: 1, reordered: 1)
        #expect(report.counts.deviations == planted)
        #expect(report.counts.explained == (isExplained ? planted : DeviationCounts()))
    }

    @Test("A killed process does not explain altered content or an invented envelope")
    func alterations() {
        let report = report(fault()) { mesh in
            mesh.alter(SyntheticMesh.identity(direct, 250), at: "beta")
            mesh.invent(SyntheticMesh.identity(direct, 9_000), at: "beta")
        }
        #expect(report.counts.deviations == DeviationCounts(corrupted: 1, unexpected: 1))
        #expect(report.counts.explained.total == 0)
    }

    @Test("A named drop is explained by the fault that held when it was dropped")
    func laterDrop() {
        let identity = SyntheticMesh.identity(direct, 2)
        let report = report(fault(reach: .agents([]))) { mesh in
            mesh.lose(identity, at: "beta")
            mesh.annotate(
                "nats",
                .dropped(identity, reason: "down", by: "nats", at: start + 500_000))
        }
        #expect(report.counts.explained == DeviationCounts(lost: 1))
    }

    @Test("A fault's touched deliveries are counted, also where nothing went wrong")
    func touched() {
        #expect(report(fault(reach: .agents(["beta"]))) { _ in }.touched == ["f1": 101])
        #expect(report(fault(reach: .agents(["nobody"]))) { _ in }.touched == ["f1": 0])
    }
}
