import Recording
import TestSupport
import Testing
import Wire

@testable import Analysis

private let direct = SyntheticMesh.direct
private let topic = SyntheticMesh.topic

@Suite struct ComparisonTests {
    static func rules() throws -> [PathRule] {
        [try PathRule("$.points[*].x", .absolute(0.01)), try PathRule("$.stamp", .ignore)]
    }

    /// Changes a JSON content's text.
    private static func edit(
        _ mesh: inout SyntheticMesh, _ identity: Identity, at receiver: String, _ text: String,
        _ replacement: String
    ) {
        guard case .bytes(let bytes) = SyntheticMesh.content(identity) else { return }
        let edited = String(decoding: bytes, as: UTF8.self).replacing(text, with: replacement)
        mesh.alter(identity, at: receiver, .bytes(Array(edited.utf8)))
    }

    struct Planted: CustomTestStringConvertible, Sendable {
        let deviation: Deviation
        let identity: Identity
        let receiver: String
        var path: String?
        let plant: @Sendable (inout SyntheticMesh, Identity, String) -> Void
        var testDescription: String { "\(deviation) of \(identity) at \(receiver)" }
    }

    /// Planted on the right side.
    static let planted: [Planted] = [
        Planted(
            deviation: .tolerated, identity: SyntheticMesh.identity(direct, 3), receiver: "beta",
            path: "$.points[0].x"
        ) { edit(&$0, $1, at: $2, "\"x\":0.5", "\"x\":0.505") },
        Planted(
            deviation: .ignored, identity: SyntheticMesh.identity(direct, 30), receiver: "beta",
            path: "$.stamp"
        ) { edit(&$0, $1, at: $2, "at 30", "at 31") },
        Planted(
            deviation: .duplicate, identity: SyntheticMesh.identity(topic, 4), receiver: "delta"
        ) { $0.repeatDelivery($1, at: $2) },
        Planted(
            deviation: .reordered, identity: SyntheticMesh.identity(topic, 50), receiver: "gamma"
        ) { $0.swap($1, at: $2) },
        Planted(
            deviation: .late, identity: SyntheticMesh.identity(direct, 60), receiver: "beta"
        ) { $0.makeLate($1, at: $2) },
        Planted(
            deviation: .payload, identity: SyntheticMesh.identity(direct, 70), receiver: "beta",
            path: "$.points[1].y"
        ) { $0.alter($1, at: $2) },
        Planted(
            deviation: .payload, identity: SyntheticMesh.identity(topic, 70), receiver: "epsilon",
            path: "byte 3"
        ) { $0.alter($1, at: $2) },
        Planted(
            deviation: .payload, identity: SyntheticMesh.identity(direct, 71), receiver: "beta",
            path: "$.points[0].x"
        ) { edit(&$0, $1, at: $2, "\"x\":0.5", "\"x\":0.7") },
        Planted(
            deviation: .payload, identity: SyntheticMesh.identity(direct, 72), receiver: "beta",
            path: "$.tags[2]"
        ) { edit(&$0, $1, at: $2, "\"a\",\"b\",\"b\"", "\"a\",\"b\"") },
        Planted(
            deviation: .missing, identity: SyntheticMesh.identity(topic, 80), receiver: "gamma"
        ) { $0.lose($1, at: $2) },
        Planted(
            deviation: .extra, identity: SyntheticMesh.identity(direct, 900), receiver: "beta"
        ) { $0.invent($1, at: $2) },
    ]

    private func compare(
        _ left: SyntheticMesh, _ right: SyntheticMesh, isDrained: Bool = true
    ) throws -> ComparisonReport {
        Comparison.compare(
            left: .delivered(in: left.all),
            right: .delivered(in: right.all, isDrained: isDrained),
            options: ComparisonOptions(mode: .twin, rules: try Self.rules()))
    }

    @Test("Two runs of one workload are all match")
    func clean() throws {
        let report = try compare(SyntheticMesh(), SyntheticMesh(transport: "nats"))
        #expect(report.counts.isAllMatch)
        #expect(report.counts.match == 2_000)
        #expect(report.differences.isEmpty && report.paths.isEmpty)
    }

    @Test("Nothing compared is not all match")
    func empty() throws {
        #expect(!(try compare(SyntheticMesh(count: 0), SyntheticMesh(count: 0)).counts.isAllMatch))
    }

    @Test("One planted difference is found once, in its class alone, and named", arguments: planted)
    func controls(_ planted: Planted) throws {
        var right = SyntheticMesh()
        planted.plant(&right, planted.identity, planted.receiver)
        let report = try compare(SyntheticMesh(), right)
        var wanted = ComparisonCounts(mode: .twin)
        wanted.match = planted.deviation == .extra ? 2_000 : 1_999
        wanted[planted.deviation] = 1
        #expect(report.counts == wanted)
        let difference = try #require(report.differences.first)
        #expect(report.differences.count == 1)
        #expect(difference.identity == planted.identity)
        #expect(difference.receiver == planted.receiver)
        #expect(difference.path == planted.path)
        #expect(!difference.reason.isEmpty)
    }

    @Test("Random differences of every class are counted exactly", arguments: 0..<40)
    func random(_ seed: UInt64) throws {
        var generator = SeededGenerator(seed: seed)
        var right = SyntheticMesh()
        var wanted = ComparisonCounts(mode: .twin)
        var slots = (0..<80).map { UInt64($0 * 6 + 2) }.shuffled(using: &generator)
        var extras = 0
        for planted in Self.planted {
            for _ in 0..<Int.random(in: 0...6, using: &generator) {
                let sequence = slots.removeLast()
                var identity = SyntheticMesh.identity(planted.identity.flow, sequence)
                if planted.deviation == .extra {
                    identity = SyntheticMesh.identity(identity.flow, sequence + 10_000)
                    extras += 1
                }
                if planted.deviation == .ignored {
                    Self.edit(&right, identity, at: "beta", "at \(sequence)", "later")
                } else {
                    planted.plant(&right, identity, planted.receiver)
                }
                wanted[planted.deviation] += 1
            }
        }
        wanted.match = 2_000 + extras - (wanted.total - wanted.match)
        let report = try compare(SyntheticMesh(), right)
        #expect(report.counts == wanted)
        #expect(report.counts.total == 2_000 + extras)
        // Seen from the other side, what is missing is extra.
        let reverse = try compare(right, SyntheticMesh())
        #expect(reverse.counts[.extra] == wanted[.missing])
        #expect(reverse.counts[.missing] == wanted[.extra])
        #expect(reverse.counts[.payload] == wanted[.payload])
        #expect(reverse.counts[.reordered] == wanted[.reordered])
    }

    @Test("Behind the last envelope of a side that was not drained nothing is missing yet")
    func undecidable() throws {
        var right = SyntheticMesh()
        for sequence: UInt64 in [100, 499, 500] {
            right.lose(SyntheticMesh.identity(direct, sequence), at: "beta")
        }
        let report = try compare(SyntheticMesh(), right, isDrained: false)
        #expect(report.counts[.undecidable] == 2)
        #expect(report.counts[.missing] == 1)
    }

    @Test("Canonically equal JSON matches; a rule may be for one message type only")
    func canonical() throws {
        let identity = SyntheticMesh.identity(direct, 5)
        var right = SyntheticMesh()
        Self.edit(&right, identity, at: "beta", "\"number\":5", "  \"number\" : 5.0 ")
        #expect(try compare(SyntheticMesh(), right).counts.isAllMatch)
        Self.edit(&right, identity, at: "beta", "at 5", "at 6")
        let other = ComparisonOptions(
            mode: .twin, rules: [try PathRule("$.stamp", .ignore, type: "other")])
        let report = Comparison.compare(
            left: .delivered(in: SyntheticMesh().all), right: .delivered(in: right.all),
            options: other)
        #expect(report.counts[.payload] == 1)
    }

    @Test("Places that differ are counted with lists as one place: the noise of an A/A run")
    func noise() throws {
        var right = SyntheticMesh()
        for sequence: UInt64 in 1...10 {
            let identity = SyntheticMesh.identity(direct, sequence)
            Self.edit(&right, identity, at: "beta", "at \(sequence)", "later")
        }
        Self.edit(
            &right, SyntheticMesh.identity(direct, 20), at: "beta", "\"x\":0.5", "\"x\":0.9")
        let report = try compare(SyntheticMesh(), right)
        #expect(report.paths == ["$.stamp": 10, "$.points[*].x": 1])
        #expect(report.noise.first { $0.path == "$.stamp" }?.rate == 0.005)
    }

    @Test("Kept differences are bounded, counts are not")
    func bounded() throws {
        var right = SyntheticMesh()
        for sequence in 1...100 {
            right.lose(SyntheticMesh.identity(direct, UInt64(sequence)), at: "beta")
        }
        var options = ComparisonOptions(mode: .twin)
        options.differencesMax = 10
        let report = Comparison.compare(
            left: .delivered(in: SyntheticMesh().all), right: .delivered(in: right.all),
            options: options)
        #expect(report.counts[.missing] == 100)
        #expect(report.differences.count == 10 && report.differencesOmitted == 90)
    }
}

@Suite struct DualComparisonTests {
    /// A mesh that sends every envelope on both lanes.
    private func dual() -> SyntheticMesh {
        var mesh = SyntheticMesh()
        for var record in SyntheticMesh(transport: "nats").all.flatMap(\.records) {
            record.lane = .shadow
            record.observed += 200
            mesh.append(record)
        }
        return mesh
    }

    private func position(
        in mesh: SyntheticMesh, _ identity: Identity, at receiver: String
    ) -> Int? {
        mesh.histories[receiver]?.records.firstIndex {
            $0.identity == identity && $0.lane == .shadow && $0.direction == .delivered
        }
    }

    @Test("Both lanes of a dual run match")
    func clean() {
        let report = Comparison.dual(dual().all)
        #expect(report.counts.isAllMatch && report.counts.match == 2_000)
        #expect(report.counts.mode == .dual)
    }

    @Test("Only envelopes with a shadow copy are compared")
    func restricted() {
        var mesh = dual()
        mesh.histories["alpha"]?.records.removeAll {
            $0.lane == .shadow && $0.identity.flow == topic
        }
        #expect(Comparison.dual(mesh.all).counts.match == 500)
        #expect(Comparison.dual(SyntheticMesh().all).counts.total == 0)
    }

    @Test("What a proxy recorded for a foreign agent has no shadow and is not compared")
    func foreign() {
        var mesh = dual()
        let records = mesh.histories["beta"]?.records ?? []
        mesh.histories["beta"] = nil
        for var record in records where record.lane == .primary {
            record.agent = "core"
            mesh.append(record)
        }
        let report = Comparison.dual(mesh.all)
        #expect(report.counts.isAllMatch && report.counts.match == 1_500)
    }

    @Test("A shadow copy that both sides had passed by the window is late; a stall is not")
    func late() throws {
        let identity = SyntheticMesh.identity(direct, 100)
        var mesh = dual()
        let place = try #require(position(in: mesh, identity, at: "beta"))
        mesh.histories["beta"]?.records[place].observed += 400_000
        let sides = ComparisonSide.dual(mesh.all)
        var options = ComparisonOptions(mode: .dual)
        options.lateAfter = 100_000
        // Out of its flow's order and late: order is the graver.
        let reordered = Comparison.compare(
            left: sides.primary, right: sides.shadow, options: options)
        #expect(reordered.counts[.reordered] == 1 && reordered.counts.match == 1_999)
        // The last of its flow, while the other flows go on.
        var tail = dual()
        let last = SyntheticMesh.identity(direct, 500)
        for name in ["alpha", "beta"] {
            tail.histories[name]?.records.removeAll {
                $0.identity.flow == direct && (101...499).contains($0.identity.sequence)
            }
        }
        for (index, record) in (tail.histories["beta"]?.records ?? []).enumerated()
        where record.identity == last {
            tail.histories["beta"]?.records[index].observed =
                SyntheticMesh.start + (record.lane == .shadow ? 900_000 : 300_000)
        }
        let stalled = ComparisonSide.dual(tail.all)
        let report = Comparison.compare(
            left: stalled.primary, right: stalled.shadow, options: options)
        #expect(report.counts[.late] == 1)
        #expect(report.differences.map(\.identity) == [last])
        options.lateAfter = 700_000
        #expect(
            Comparison.compare(left: stalled.primary, right: stalled.shadow, options: options)
                .counts.isAllMatch)
    }
}

@Suite struct StallTests {
    @Test("A shadow copy after a stall is not late: nothing had gone on without it")
    func stall() throws {
        var mesh = SyntheticMesh(count: 300)
        for var record in SyntheticMesh(count: 300, transport: "nats").all.flatMap(\.records) {
            record.lane = .shadow
            mesh.append(record)
        }
        let last = SyntheticMesh.identity(direct, 150)
        let place = try #require(
            mesh.histories["beta"]?.records.firstIndex {
                $0.identity == last && $0.lane == .shadow
            })
        mesh.histories["beta"]?.records[place].observed += 900_000
        let sides = ComparisonSide.dual(mesh.all)
        var options = ComparisonOptions(mode: .dual)
        options.lateAfter = 100_000
        let report = Comparison.compare(
            left: sides.primary, right: sides.shadow, options: options)
        #expect(report.counts.isAllMatch)
    }
}

@Suite struct AlignmentTests {
    /// A run in which `alpha` was restarted after `count` of 10 envelopes, starting at `first`.
    private func run(_ split: Int, first: UInt32 = 1) -> [History] {
        var history = History(process: "beta")
        for number in 0..<10 {
            let isSecond = number >= split
            let identity = Identity(
                flow: direct, incarnation: isSecond ? first + 1 : first,
                sequence: UInt64(isSecond ? number - split + 1 : number + 1))
            history.records.append(
                HistoryRecord(
                    agent: "beta", identity: identity, type: "t", transport: "zmq",
                    direction: .delivered, sent: UInt64(number), observed: UInt64(number),
                    contentEncoding: .binary, content: .bytes([UInt8(number)])))
        }
        return [history]
    }

    @Test("Incarnations pair by their order")
    func byOrder() {
        #expect(Comparison.twin(left: run(4), right: run(4, first: 5)).counts.isAllMatch)
        #expect(!Comparison.twin(left: run(4), right: run(5)).counts.isAllMatch)
    }

    @Test("Two runs pair although a sender was restarted at another point of its work")
    func continued() {
        #expect(Comparison.diff(left: run(4), right: run(7, first: 2)).counts.isAllMatch)
        #expect(Comparison.diff(left: run(4), right: run(10)).counts.isAllMatch)
    }

    @Test("A dual run's identities pair as they are")
    func exact() {
        let report = Comparison.compare(
            left: .delivered(in: run(4)), right: .delivered(in: run(4, first: 2)),
            options: ComparisonOptions(mode: .dual))
        #expect(report.counts.match == 0)
    }
}
