import Analysis
import Glibc
import Recording
import TestSupport
import Testing
import Wire

@testable import Histories

@Suite struct ShapingTests {
    let directory: TemporaryDirectory
    let paths: [String]

    init() throws {
        directory = try TemporaryDirectory()
        var random = SeededGenerator(seed: 5)
        let recording = Recording(flows: 4, length: 60, interleavedBy: &random)
        paths = try recording.write(to: directory.path)
    }

    private func read(_ path: String) throws -> History {
        let history = try HistoryReader.read(path: path)
        #expect(history.notes == [])
        #expect(try HistoryExamination(path: path).faults == [])
        return history
    }

    private var records: [HistoryRecord] {
        get throws {
            try paths.flatMap { try HistoryReader.read(path: $0).records }
                .sorted { $0.observed < $1.observed }
        }
    }

    @Test("Merged, everything is there, in the order of recording")
    func merge() throws {
        let output = directory.file("merged.mcap")
        let outcome = try HistoryShaping.merge(paths, to: output, process: "all")
        #expect(outcome.notes == [])
        let merged = try read(output)
        #expect(merged.process == "all")
        #expect(Array(merged.records) == (try records))
        #expect(outcome.files.map(\.messageCount) == [UInt64(merged.records.count)])
    }

    @Test("A file that exists is never written over, and nothing is left of the attempt")
    func exists() throws {
        #expect(throws: HistoryError.self) {
            try HistoryShaping.merge(paths, to: paths[0], process: "all")
        }
        #expect(try RunDirectory.histories(in: directory.path) == paths)
    }

    @Test(
        "Split, the parts together are the whole",
        arguments: [
            HistoryShaping.Division.agent, .flow, .records(50), .duration(50_000), .nothing,
        ])
    func split(division: HistoryShaping.Division) throws {
        let folder = directory.file("parts")
        mkdir(folder, 0o755)
        let outcome = try HistoryShaping.split(
            paths, into: folder, by: division, selection: RecordSelection())
        let parts = try outcome.files.map { try read($0.path) }
        switch division {
        case .agent: #expect(parts.count == 3)
        case .flow: #expect(parts.count == 4)
        case .records: #expect(parts.dropLast().allSatisfy { $0.records.count <= 50 })
        case .duration, .nothing: #expect(!parts.isEmpty)
        }
        #expect(
            parts.flatMap(\.records).sorted { $0.observed < $1.observed } == (try records))
    }

    @Test("Only what is selected is taken over")
    func selection() throws {
        let folder = directory.file("some")
        mkdir(folder, 0o755)
        var selection = RecordSelection()
        selection.sources = ["agent-[01]"]
        selection.sequences = 10...20
        selection.conditions = [.init(try .init("$.number"), value: "15")]
        let outcome = try HistoryShaping.split(
            paths, into: folder, by: .nothing, selection: selection)
        let found = try read(outcome.files[0].path).records
        #expect(Set(found.map(\.identity.flow.source)) == ["agent-0", "agent-1"])
        #expect(found.map(\.identity.sequence) == [15, 15])
    }

    @Test("Recovered is what can be read of a damaged file")
    func recover() throws {
        let path = paths[0]
        let whole = try HistoryReader.read(path: path)
        let size = Int(try #require(fileSize(path)))
        for (number, length) in [size - 60, size / 2, size / 3].enumerated() {
            truncate(path, off_t(length))
            let damaged = try HistoryReader.read(path: path)
            #expect(damaged.notes != [])
            let output = directory.file("recovered-\(number).mcap")
            let outcome = try HistoryShaping.recover(path, to: output)
            #expect(outcome.notes.count == damaged.notes.count)
            #expect(try read(output).records == damaged.records)
            #expect(damaged.records.elementsEqual(whole.records.prefix(damaged.records.count)))
        }
    }

    private func fileSize(_ path: String) -> Int64? {
        var status = stat()
        return stat(path, &status) == 0 ? Int64(status.st_size) : nil
    }
}

@Suite struct MutationTests {
    /// `make fuzz` has 100,000 here and as many in the reader's own tests.
    static let mutations = thoroughness("SYNMESH_MUTATIONS", usually: 5_000) / 5

    @Test("Whatever stands in a file, all tools end, and say alike what can be read")
    func mutations() throws {
        let directory = try TemporaryDirectory()
        var random = SeededGenerator(seed: 77)
        let recording = Recording(flows: 3, length: 20, interleavedBy: &random)
        let paths = try recording.write(to: directory.path)
        try HistorySealing.seal(path: paths[1])
        let originals = try paths.prefix(2).map { try bytes(of: $0) }
        let (path, output) = (directory.file("mutated"), directory.file("recovered"))
        for round in 0..<Self.mutations {
            var mutated = originals[round % 2]
            for _ in 0...Int.random(in: 0...2, using: &random) {
                let place = Int.random(in: 0..<mutated.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: mutated[place] = UInt8.random(in: 0...255, using: &random)
                case 1: mutated.removeSubrange(place..<min(mutated.count, place + 9))
                default: mutated.insert(contentsOf: mutated.suffix(11), at: place)
                }
                if mutated.isEmpty { mutated = [0] }
            }
            try replace(path, by: mutated)
            unlink(output)
            do throws(HistoryError) {
                let read = try HistoryReader.read(path: path)
                let examination = try HistoryExamination(path: path)
                #expect(read.notes.isEmpty || !examination.faults.isEmpty, "round \(round)")
                _ = try HistorySummary(path: path)
                let outcome = try HistoryShaping.recover(path, to: output)
                guard !outcome.files.isEmpty else { continue }
                let recovered = try HistoryReader.read(path: output)
                #expect(recovered.records == read.records, "round \(round)")
            } catch {
                #expect(
                    error.reason == .notMCAP || error.reason == .shortened,
                    "round \(round): \(error)")
            }
        }
    }

    private func bytes(of path: String) throws -> [UInt8] {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes[..<count])
    }

    private func replace(_ path: String, by bytes: [UInt8]) throws {
        let file = try #require(fopen(path, "w"))
        defer { fclose(file) }
        #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
    }
}
