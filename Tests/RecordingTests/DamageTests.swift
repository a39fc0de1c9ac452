import Glibc
import TestSupport
import Testing
import Wire

@testable import Recording

@Suite("Damaged histories")
struct DamageTests {
    let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    /// A file of each kind with a few records of several channels and annotations.
    private func sample(_ kind: Kind) throws -> [UInt8] {
        let path = scratch.file("sample.\(kind).mcap")
        let writer = try HistoryWriter(
            path: path, process: "alpha", clock: clock, contentLimit: 30)
        for sequence in 1...UInt64(6) {
            let cause = sequence == 3 ? envelope(1, from: "beta").identity : nil
            try writer.record(
                envelope(
                    sequence, to: sequence % 2 == 0 ? .agent("beta") : .topic("t"), cause: cause),
                sequence < 4 ? .sent : .delivered, transport: "zmq")
        }
        try writer.record(
            envelope(7, content: [UInt8](repeating: 1, count: 31)), .sent, transport: "nats")
        for annotation in everyAnnotation { try writer.annotate(annotation) }
        if kind != .live { try writer.seal() }
        if kind == .sealed { try HistorySealer.seal(path: path) }
        return try contents(of: path)
    }

    enum Kind: CaseIterable { case live, closed, sealed }

    /// Where the messages of an unchunked file end; the annotations' channel is the first one.
    private func messageEnds(_ bytes: [UInt8]) -> [(offset: Int, isAnnotation: Bool)] {
        var ends: [(offset: Int, isAnnotation: Bool)] = []
        var offset = MCAP.magic.count
        while offset + MCAP.recordHeaderLength <= bytes.count {
            let length = bytes.withUnsafeBytes {
                Int($0.loadUnaligned(fromByteOffset: offset + 1, as: UInt64.self))
            }
            let opcode = bytes[offset]
            let isAnnotation = bytes[offset + MCAP.recordHeaderLength] == 1
            offset += MCAP.recordHeaderLength + length
            if opcode == MCAP.Opcode.message.rawValue { ends.append((offset, isAnnotation)) }
            if opcode == MCAP.Opcode.footer.rawValue { break }
        }
        return ends
    }

    @Test(
        "cut at every byte, what stands before the cut is read and the cut is noted",
        arguments: [Kind.closed, .sealed])
    func cut(kind: Kind) throws {
        let bytes = try sample(kind)
        let path = scratch.file("cut.mcap")
        try write(bytes, to: path)
        let whole = try HistoryReader.read(path: path)
        try #require(whole.notes == [])
        let ends = kind == .closed ? messageEnds(bytes) : []
        var (before, counts) = (whole.records.count, Set<Int>())
        for length in (0..<bytes.count).reversed() {
            try #require(truncate(path, off_t(length)) == 0)
            let history = try HistoryReader.read(path: path)
            #expect(history.notes != [], "cut at \(length)")
            #expect(history.records.elementsEqual(whole.records.prefix(history.records.count)))
            #expect(
                history.annotations == Array(whole.annotations.prefix(history.annotations.count)))
            // A chunk that is cut has lost what stood behind the cut, and nothing else.
            #expect(history.records.count <= before)
            before = history.records.count
            counts.insert(before)
            if kind == .closed {
                let expected = ends.count { $0.offset <= length }
                #expect(history.records.count + history.annotations.count == expected)
            }
        }
        #expect(counts == Set(0...whole.records.count), "one record after the other")
    }

    @Test("a live file that is cut in its unused space has lost nothing, and says so")
    func cutLive() throws {
        let bytes = try sample(.live)
        let path = scratch.file("cut.mcap")
        for length in [bytes.count - 1, bytes.count - 51, bytes.count - 1_000] {
            try write(Array(bytes[..<length]), to: path)
            let history = try HistoryReader.read(path: path)
            #expect(history.records.count == 7)
            #expect(history.annotations.count == everyAnnotation.count + 1)
            #expect(history.notes != [])
        }
    }

    /// `make fuzz` has 100,000.
    static let mutations = thoroughness("SYNMESH_MUTATIONS", usually: 5_000)

    @Test("seeded mutations never crash, and never reach back before the first one")
    func mutations() throws {
        let path = scratch.file("mutated.mcap")
        var generator = SeededGenerator(seed: 20_260)
        for kind in [Kind.closed, .sealed] {
            let bytes = try sample(kind)
            try write(bytes, to: path)
            let whole = try HistoryReader.read(path: path)
            let ends = messageEnds(bytes)
            for round in 0..<Self.mutations / 2 {
                var mutated = bytes
                var first = bytes.count
                for _ in 0...Int.random(in: 0...3, using: &generator) {
                    let place = Int.random(in: 0..<mutated.count, using: &generator)
                    first = min(first, place)
                    mutate(&mutated, at: place, using: &generator)
                }
                try write(mutated, to: path)
                let history: History
                do throws(HistoryError) {
                    history = try HistoryReader.read(path: path)
                } catch {
                    #expect(error.reason == .notMCAP && first < MCAP.magic.count)
                    continue
                }
                guard kind == .closed else {
                    // Chunks have checksums: what is read is right, or it is noted.
                    #expect(
                        history.notes != [] || history.records == whole.records, "round \(round)")
                    continue
                }
                let intact = ends.filter { $0.offset <= first }
                let records = intact.count { !$0.isAnnotation }
                #expect(
                    history.records.prefix(records).elementsEqual(whole.records.prefix(records)),
                    "round \(round)")
                let annotations = intact.count - records
                #expect(
                    history.annotations.prefix(annotations)
                        == whole.annotations.prefix(annotations), "round \(round)")
            }
        }
    }

    private func mutate(
        _ bytes: inout [UInt8], at place: Int, using generator: inout SeededGenerator
    ) {
        switch Int.random(in: 0..<5, using: &generator) {
        case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
        case 1: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 2: bytes[place] = [0, 0xFF, 0x80, 0x81].randomElement(using: &generator) ?? 0
        case 3:
            let end = min(bytes.count, place + Int.random(in: 1...40, using: &generator))
            bytes.removeSubrange(place..<end)
        default:
            let end = min(bytes.count, place + Int.random(in: 1...40, using: &generator))
            bytes.insert(contentsOf: Array(bytes[place..<end]), at: place)
        }
        if bytes.isEmpty { bytes = [0x89] }
    }

    @Test("a damaged chunk costs its own messages only")
    func damagedChunk() throws {
        let path = scratch.file("a.mcap")
        let writer = try HistoryWriter(path: path, process: "alpha", clock: clock)
        let content = [UInt8](repeating: 5, count: 60_000)
        for sequence in 1...UInt64(60) {
            try writer.record(envelope(sequence, content: content), .sent, transport: "zmq")
        }
        try writer.seal()
        try HistorySealer.seal(path: path)
        var bytes = try contents(of: path)
        bytes[bytes.count / 2] ^= 1
        try write(bytes, to: path)
        let history = try HistoryReader.read(path: path)
        #expect(history.records.first?.identity.sequence == 1)
        #expect(history.records.last?.identity.sequence == 60)
        #expect((30..<60).contains(history.records.count))
        #expect(history.notes.count == 2, "the chunk and the count: \(history.notes)")
    }

    @Test(
        "what is no MCAP file is refused by name",
        arguments: ["not a history", "\u{89}MCAP0\r\n", "{}"])
    func notMCAP(text: String) throws {
        let path = scratch.file("a.mcap")
        try write(Array(text.utf8), to: path)
        #expect(throws: HistoryError(.read, path, .notMCAP)) {
            try HistoryReader.read(path: path)
        }
    }

    @Test("a file that is not there is an error with its path")
    func missing() {
        let path = scratch.file("a.mcap")
        #expect(throws: HistoryError(.read, path, .system(ENOENT))) {
            try HistoryReader.read(path: path)
        }
    }
}
