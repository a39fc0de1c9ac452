import Analysis
import JSON
import Recording
import Testing
import Wire

/// What is said of contents that lie in shared memory.
@Suite struct SharedContentTests {
    static let flow = Flow(source: "camera", destination: .agent("mesh"))
    static let start: UInt64 = 1_000_000_000_000

    static func identity(_ sequence: UInt64) -> Identity {
        Identity(flow: flow, incarnation: 1, sequence: sequence)
    }

    static func descriptor(
        _ number: UInt64, slot: Int = 0, generation: UInt64? = nil, digest: UInt64? = 7
    ) -> PointCloudDescriptor {
        PointCloudDescriptor(
            pool: "clouds", slot: slot, generation: generation ?? number, size: 1_000 + number,
            digest: digest.map { $0 + number }, points: Int(number))
    }

    /// A camera's clouds, all delivered to a mesh; `read` says what that noted of each.
    static func histories(
        _ count: UInt64 = 4, descriptor: (UInt64) -> PointCloudDescriptor = { descriptor($0) },
        read: (UInt64) -> Annotation? = { verified($0) }
    ) -> [History] {
        var camera = History(process: "camera")
        var mesh = History(process: "mesh")
        for number in 1...count {
            var record = HistoryRecord(
                agent: "camera", identity: identity(number), type: PointCloudType.shared,
                transport: "zmq", direction: .sent, sent: start + number,
                observed: start + number, contentEncoding: .descriptor,
                content: .bytes(Array(descriptor(number).json.canonical.utf8)))
            camera.records.append(record)
            record.agent = "mesh"
            record.direction = .delivered
            record.observed += 100
            mesh.records.append(record)
            if let annotation = read(number) { mesh.annotations.append(annotation) }
        }
        return [camera, mesh]
    }

    static func verified(_ number: UInt64) -> Annotation {
        .contentRead(
            identity(number), pool: "clouds", isVerified: true, by: "mesh", at: start + 200)
    }

    static func unreadable(_ number: UInt64) -> Annotation {
        .contentUnreadable(
            identity(number), pool: "clouds", reason: "altered", by: "mesh", at: start + 200)
    }

    @Test("contents that were read and verified are a pass")
    func verified() {
        let report = Delivery.check(Self.histories())
        #expect(report.counts.deviations.total == 0)
        #expect(report.unverified == 0 && report.unread == 0)
        #expect(Limits.zero.judge(delivery: report).verdict == .pass)
    }

    @Test("a content that could not be read is corrupted, once, and fails")
    func unreadable() {
        let report = Delivery.check(
            Self.histories(read: { $0 == 2 ? Self.unreadable(2) : Self.verified($0) }))
        #expect(report.counts.deviations == DeviationCounts(corrupted: 1))
        #expect(report.counts.delivered == 4)
        #expect(report.findings.map(\.sequence) == [2])
        #expect(report.findings.first?.receiver == "mesh")
        #expect(report.findings.first?.reason.contains("altered") == true)
        #expect(Limits.zero.judge(delivery: report).verdict == .fail)
    }

    @Test("a failure stays one, in whatever order the notes stand")
    func failureStays() {
        var histories = Self.histories(read: { _ in nil })
        for annotations in [
            [Self.verified(1), Self.unreadable(1)], [Self.unreadable(1), Self.verified(1)],
        ] {
            histories[1].annotations = annotations
            #expect(Delivery.check(histories).counts.deviations.corrupted == 1)
        }
    }

    @Test("a fault that kills explains no alteration")
    func killAltersNothing() {
        var scope = DeliveryScope()
        scope.faults = [
            FaultWindow(
                id: "kill-1", kind: "kill", target: "mesh", started: 0, healed: .max,
                reach: .everything)
        ]
        let report = Delivery.check(Self.histories(read: { Self.unreadable($0) }), in: scope)
        #expect(report.counts.unexplained.corrupted == 4)
    }

    @Test("a descriptor that was altered on its way is corrupted once, not twice")
    func alteredDescriptor() {
        var histories = Self.histories(read: { Self.unreadable($0) })
        histories[1].records[0].content = .bytes(
            Array(Self.descriptor(1, slot: 3).json.canonical.utf8))
        #expect(Delivery.check(histories).counts.deviations == DeviationCounts(corrupted: 4))
    }

    @Test("contents that nobody verified are no pass, unless so many may be corrupted")
    func unverified() {
        let report = Delivery.check(
            Self.histories(read: {
                .contentRead(
                    Self.identity($0), pool: "clouds", isVerified: false, by: "mesh", at: 0)
            }))
        #expect(report.unverified == 4)
        var limits = Limits.zero
        #expect(limits.judge(delivery: report).verdict == .inconclusive)
        limits[.corrupted] = 3
        #expect(limits.judge(delivery: report).verdict == .inconclusive)
        limits[.corrupted] = 4
        #expect(limits.judge(delivery: report).verdict == .pass)
    }

    @Test("contents that nobody read are counted")
    func unread() {
        let report = Delivery.check(Self.histories(read: { _ in nil }))
        #expect(report.unread == 4)
        #expect(report.counts.deviations.total == 0)
    }

    @Test(
        "contents that nobody read are no pass, unless so many may be lost or a fault explains it")
    func unreadIsNoPass() {
        let histories = Self.histories(read: { $0 == 3 ? nil : Self.verified($0) })
        let report = Delivery.check(histories)
        var limits = Limits.zero
        #expect(limits.judge(delivery: report).verdict == .inconclusive)
        limits[.lost] = 1
        #expect(limits.judge(delivery: report).verdict == .pass)
        var scope = DeliveryScope()
        scope.faults = [
            FaultWindow(
                id: "kill-1", kind: "kill", target: "mesh", started: Self.start + 200,
                healed: .max, reach: .everything)
        ]
        let killed = Delivery.check(histories, in: scope)
        #expect(killed.unread == 1 && killed.unreadUnexplained == 0)
        #expect(Limits.zero.judge(delivery: killed).verdict == .pass)
    }

    @Test("what an agent could not send is in no count, and is said")
    func refused() {
        var histories = Self.histories()
        for at in [UInt64(7), 9] {
            histories[0].annotations.append(
                .refused(
                    to: .agent("mesh"), type: PointCloudType.shared, reason: "no slot was free",
                    by: "camera", at: Self.start + at))
        }
        let report = Delivery.check(histories)
        #expect(report.counts.sent == 4)
        #expect(report.refused == 2)
        #expect(Limits.zero.judge(delivery: report).verdict == .inconclusive)
        #expect(
            report.notes == [
                "camera: 2 messages could not be sent and are in no count; the first: "
                    + "'pointcloud_shm' to 'mesh': no slot was free"
            ])
    }

    // MARK: Comparison

    static func twin(
        _ left: [History], _ right: [History]
    ) -> ComparisonReport {
        Comparison.twin(left: left, right: right, includingSent: true)
    }

    @Test("slot and generation say only where a cloud lies: twins match without them")
    func twinsMatch() {
        let report = Self.twin(
            Self.histories(),
            Self.histories(descriptor: { Self.descriptor($0, slot: 3, generation: 9 + $0) }))
        #expect(report.counts.match == 8)
        #expect(report.counts.isAllMatch)
    }

    @Test(
        "size, points and digest say what a cloud is: twins differ in them",
        arguments: ["size", "points", "digest"])
    func twinsDiffer(member: String) {
        let report = Self.twin(
            Self.histories(),
            Self.histories(descriptor: { number in
                var descriptor = Self.descriptor(number)
                guard number == 3 else { return descriptor }
                switch member {
                case "size": descriptor.size += 1
                case "points": descriptor.points += 1
                default: descriptor.digest = 0
                }
                return descriptor
            }))
        #expect(report.counts[.payload] == 2)
        #expect(report.counts.match == 6)
        #expect(report.differences.allSatisfy { $0.path == "$.\(member)" })
    }

    @Test("without digests nobody can say whether twins match, however equal their descriptors")
    func twinsUndecidable() {
        let histories = Self.histories(descriptor: { Self.descriptor($0, digest: nil) })
        let report = Self.twin(histories, histories)
        #expect(report.counts[.undecidable] == 8)
        #expect(report.counts.match == 0)
        let verdict = Limits.zero.judge(
            delivery: Delivery.check(histories), comparison: report)
        #expect(verdict.verdict == .inconclusive)
    }

    @Test("a cloud in shared memory and one inside of the message are different envelopes")
    func otherWay() {
        var right = Self.histories()
        for history in right.indices {
            for record in right[history].records.indices {
                right[history].records[record].type = PointCloudType.direct
                right[history].records[record].contentEncoding = .binary
                right[history].records[record].content = .bytes([1])
            }
        }
        #expect(Self.twin(Self.histories(), right).counts[.payload] == 8)
    }

    @Test("both lanes of a dual run point to one memory: the same descriptor is a match")
    func dual() {
        var histories = Self.histories(descriptor: { Self.descriptor($0, digest: nil) })
        for index in histories.indices {
            histories[index].records += histories[index].records.map { record in
                var copy = record
                copy.lane = .shadow
                copy.transport = "nats"
                return copy
            }
        }
        let report = Comparison.dual(histories)
        #expect(report.counts.match == 4)
        #expect(report.counts.isAllMatch)
    }
}
