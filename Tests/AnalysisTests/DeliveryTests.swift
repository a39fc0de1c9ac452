import Recording
import TestSupport
import Testing
import Wire

@testable import Analysis

private func check(
    _ mesh: SyntheticMesh, _ change: (inout DeliveryScope) -> Void = { _ in }
) -> DeliveryReport {
    var scope = DeliveryScope()
    scope.proxies = ["core"]
    change(&scope)
    return Delivery.check(mesh.all, in: scope)
}

private let direct = SyntheticMesh.direct
private let topic = SyntheticMesh.topic

@Suite struct DeliveryTests {
    @Test("A mesh in which nothing went wrong has no deviation")
    func clean() {
        let report = check(SyntheticMesh())
        #expect(report.counts.sent == 1_000)
        #expect(report.counts.expected == 500 + 3 * 500)
        #expect(report.counts.delivered == 2_000)
        #expect(report.counts.deviations.total == 0)
        #expect(report.counts.acknowledged == nil)
        #expect(report.findings.isEmpty && report.notes.isEmpty)
        #expect(report.allowed == 0 && report.pending == 0 && report.unobserved == 0)
    }

    struct Planted: CustomTestStringConvertible, Sendable {
        let name: String
        let deviation: Deviation
        let identity: Identity
        let receiver: String
        var path: String?
        let plant: @Sendable (inout SyntheticMesh, Identity, String) -> Void
        var testDescription: String { name }
    }

    static let planted: [Planted] = [
        Planted(
            name: "loss", deviation: .lost, identity: SyntheticMesh.identity(direct, 17),
            receiver: "beta"
        ) { $0.lose($1, at: $2) },
        Planted(
            name: "loss at one of three subscribers", deviation: .lost,
            identity: SyntheticMesh.identity(topic, 500), receiver: "epsilon"
        ) { $0.lose($1, at: $2) },
        Planted(
            name: "drop with a reason", deviation: .lost,
            identity: SyntheticMesh.identity(direct, 1), receiver: "beta"
        ) { $0.drop($1, at: $2) },
        Planted(
            name: "repeat", deviation: .duplicated,
            identity: SyntheticMesh.identity(topic, 3), receiver: "gamma"
        ) { $0.repeatDelivery($1, at: $2) },
        Planted(
            name: "swap", deviation: .reordered, identity: SyntheticMesh.identity(direct, 40),
            receiver: "beta"
        ) { $0.swap($1, at: $2) },
        Planted(
            name: "altered JSON leaf", deviation: .corrupted,
            identity: SyntheticMesh.identity(direct, 99), receiver: "beta",
            path: "$.points[1].y"
        ) { $0.alter($1, at: $2) },
        Planted(
            name: "altered byte", deviation: .corrupted,
            identity: SyntheticMesh.identity(topic, 99), receiver: "delta", path: "byte 3"
        ) { $0.alter($1, at: $2) },
        Planted(
            name: "invented sequence", deviation: .unexpected,
            identity: SyntheticMesh.identity(direct, 4_711), receiver: "beta"
        ) { $0.invent($1, at: $2) },
        Planted(
            name: "delivered to a stranger", deviation: .unexpected,
            identity: SyntheticMesh.identity(direct, 5), receiver: "gamma"
        ) { $0.invent($1, at: $2) },
        Planted(
            name: "late", deviation: .late, identity: SyntheticMesh.identity(direct, 250),
            receiver: "beta"
        ) { $0.makeLate($1, at: $2) },
    ]

    @Test("One planted defect is found once, in its class alone, and named", arguments: planted)
    func controls(_ planted: Planted) throws {
        var mesh = SyntheticMesh()
        planted.plant(&mesh, planted.identity, planted.receiver)
        let report = check(mesh)
        var wanted = DeviationCounts()
        wanted[planted.deviation] = 1
        #expect(report.counts.deviations == wanted)
        #expect(report.counts.unexplained == wanted)
        let finding = try #require(
            report.findings.first { $0.deviation == planted.deviation })
        #expect(finding.identity == planted.identity)
        #expect(finding.receiver == planted.receiver)
        #expect(finding.path == planted.path)
        #expect(finding.severity == .error && finding.fault == nil)
        let counts = report.counts
        #expect(counts.expected == counts.delivered + wanted.lost + wanted.late)
        #expect(counts.deviations.lost == counts.dropped + counts.inferred)
        if planted.name == "drop with a reason" {
            #expect(counts.dropped == 1 && counts.inferred == 0)
            #expect(finding.reason == "Dropped by 'core': queue full.")
        }
    }

    @Test("Random defects of every class are counted exactly", arguments: 0..<40)
    func random(_ seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var mesh = SyntheticMesh()
        // Slots lie apart, so that no defect changes what another one is.
        var slots = (0..<80).flatMap { slot -> [(Identity, String)] in
            let sequence = UInt64(slot * 6 + 2)
            return [(SyntheticMesh.identity(direct, sequence), "beta")]
                + SyntheticMesh.subscribers.map { (SyntheticMesh.identity(topic, sequence), $0) }
        }.shuffled(using: &generator)
        var wanted = DeviationCounts()
        var dropped: Set<Identity> = []
        for deviation in DeviationCounts.classes {
            for _ in 0..<Int.random(in: 0...8, using: &generator) {
                let (identity, receiver) = slots.removeLast()
                switch deviation {
                case .lost:
                    if identity.flow == direct, Bool.random(using: &generator) {
                        mesh.drop(identity, at: receiver)
                        dropped.insert(identity)
                    } else {
                        mesh.lose(identity, at: receiver)
                    }
                case .duplicated: mesh.repeatDelivery(identity, at: receiver)
                case .reordered: mesh.swap(identity, at: receiver)
                case .late: mesh.makeLate(identity, at: receiver)
                case .corrupted: mesh.alter(identity, at: receiver)
                default:
                    let invented = SyntheticMesh.identity(
                        identity.flow, identity.sequence + 10_000)
                    mesh.invent(invented, at: receiver)
                }
                wanted[deviation] += 1
            }
        }
        let report = check(mesh)
        #expect(report.counts.deviations == wanted)
        #expect(report.counts.dropped == dropped.count)
        #expect(report.counts.inferred == wanted.lost - dropped.count)
        #expect(report.findings.count == wanted.total && report.findingsOmitted == 0)
        #expect(
            report.counts.expected == report.counts.delivered + wanted.lost + wanted.late)
    }

    @Test("An agent that was restarted owes one delivery in whichever incarnation")
    func restartedReceiver() {
        var mesh = SyntheticMesh()
        let records = mesh.histories["beta"]?.records ?? []
        mesh.histories["beta"]?.records = HistoryRecords(records.prefix(200))
        var second = History(process: "beta")
        second.records = HistoryRecords(records.dropFirst(200))
        #expect(Delivery.check(mesh.all + [second]).counts.deviations.total == 0)
        // And a copy in both incarnations is a repeat.
        second.records.insert(records[199], at: 0)
        #expect(Delivery.check(mesh.all + [second]).counts.deviations.duplicated == 1)
    }

    @Test("A sender's incarnations count their sequences apart")
    func restartedSender() {
        var mesh = SyntheticMesh()
        for var record in SyntheticMesh().all.flatMap(\.records) {
            record.identity = Identity(
                flow: record.identity.flow, incarnation: 2, sequence: record.identity.sequence)
            record.sent += 10_000_000
            record.observed += 10_000_000
            mesh.append(record)
        }
        let report = check(mesh)
        #expect(report.counts.expected == 4_000)
        #expect(report.counts.deviations.total == 0)
    }

    @Test("Only what was sent within the window counts")
    func window() {
        var mesh = SyntheticMesh()
        mesh.lose(SyntheticMesh.identity(direct, 10), at: "beta")
        mesh.lose(SyntheticMesh.identity(direct, 400), at: "beta")
        mesh.repeatDelivery(SyntheticMesh.identity(topic, 11), at: "gamma")
        mesh.swap(SyntheticMesh.identity(topic, 20), at: "gamma")
        let report = check(mesh) {
            $0.window = (SyntheticMesh.start + 500_000)...(SyntheticMesh.start + 999_999)
        }
        #expect(report.counts.sent == 500)
        #expect(report.counts.expected == 1_000)
        #expect(report.counts.deviations == DeviationCounts(lost: 1))
    }

    @Test("Findings are bounded; the rest is counted, and explained ones hide no others")
    func boundedFindings() {
        var mesh = SyntheticMesh()
        for sequence in 1...300 {
            mesh.lose(SyntheticMesh.identity(direct, UInt64(sequence)), at: "beta")
        }
        let report = check(mesh) { $0.findingsMax = 50 }
        #expect(report.counts.deviations.lost == 300)
        #expect(report.findings.count == 50)
        #expect(report.findingsOmitted == 250)
        #expect(report.findings.first?.sequence == 1)
    }

    @Test("What is missing behind the last delivery is pending while the flow is not drained")
    func notDrained() {
        var mesh = SyntheticMesh()
        for sequence: UInt64 in [100, 499, 500] {
            mesh.lose(SyntheticMesh.identity(direct, sequence), at: "beta")
        }
        let report = check(mesh) { $0.isDrained = false }
        #expect(report.pending == 2)
        #expect(report.counts.deviations == DeviationCounts(lost: 1))
        #expect(check(mesh).counts.deviations == DeviationCounts(lost: 3))
    }

    @Test("An envelope that overtakes the whole flow is displaced alone, not all the others")
    func leap() {
        var mesh = SyntheticMesh()
        mesh.change(SyntheticMesh.identity(direct, 400), at: "beta") { record in
            var early = record
            early.observed = SyntheticMesh.start
            return [early]
        }
        let report = check(mesh)
        #expect(report.counts.deviations == DeviationCounts(reordered: 1))
        #expect(report.findings.first?.sequence == 400)
    }

    @Test("Contents known by digest only are compared by length and digest")
    func digests() {
        let identity = SyntheticMesh.identity(topic, 7)
        var mesh = SyntheticMesh()
        let content = SyntheticMesh.content(identity)
        mesh.alter(identity, at: "gamma", .digest(content.digest, length: content.length))
        #expect(check(mesh).counts.deviations.total == 0)
        mesh.alter(identity, at: "gamma", .digest(content.digest ^ 1, length: content.length))
        #expect(check(mesh).findings.map(\.path) == ["digest"])
        mesh.alter(identity, at: "gamma", .digest(content.digest ^ 1, length: 17))
        #expect(check(mesh).findings.map(\.path) == ["length"])
    }

    @Test("Shadow copies of a dual run are no deliveries")
    func shadowLane() {
        var mesh = SyntheticMesh()
        for var record in SyntheticMesh().all.flatMap(\.records) {
            record.lane = .shadow
            mesh.append(record)
        }
        #expect(check(mesh).counts.expected == 2_000)
        #expect(check(mesh).counts.deviations.total == 0)
    }

    @Test("An identity that stands for two contents is noted")
    func identityReused() {
        var mesh = SyntheticMesh()
        let identity = SyntheticMesh.identity(direct, 5)
        guard let position = mesh.position(identity, at: "alpha", .sent),
            var record = mesh.histories["alpha"]?.records[position]
        else { return }
        mesh.append(record)
        #expect(check(mesh).notes.isEmpty)
        record.content = .bytes([0])
        mesh.append(record)
        #expect(check(mesh).notes == ["\(identity) was sent twice with different contents"])
    }
}
