import Glibc
import TestSupport
import Testing
import Wire

@testable import Recording

/// The `sequence`-th envelope of a writer that is to be killed: sizes from nothing to several
/// times the first window, new channels now and then, causes in between.
private func crashEnvelope(_ sequence: UInt64) -> Envelope {
    var generator = SeededGenerator(seed: sequence)
    let size =
        sequence % 97 == 0
        ? Int.random(in: 0...300_000, using: &generator)
        : Int.random(in: 0...700, using: &generator)
    return envelope(
        sequence, type: "type-\(sequence / 50)",
        content: [UInt8](repeating: UInt8(truncatingIfNeeded: sequence), count: size),
        cause: sequence % 5 == 0 ? envelope(sequence, from: "beta").identity : nil)
}

/// A number in a file that another process sees, and that outlives its writer.
private struct SharedCounter {
    private let address: UnsafeMutableRawPointer

    init(path: String) throws {
        let file = try OpenFile(path, O_RDWR | O_CREAT, attempt: .write)
        guard ftruncate(file.number, 4_096) == 0,
            let address = mmap(nil, 4_096, PROT_READ | PROT_WRITE, MAP_SHARED, file.number, 0),
            address != MAP_FAILED
        else { throw HistoryError.last(.write, path) }
        self.address = address
    }

    var value: UInt64 {
        get { address.load(as: UInt64.self) }
        nonmutating set { address.storeBytes(of: newValue, as: UInt64.self) }
    }

    func unmap() { munmap(address, 4_096) }
}

/// Kills this process from another thread, `microseconds` from now.
private func killThisProcess(after microseconds: UInt32) {
    var thread = pthread_t()
    let argument = UnsafeMutablePointer<UInt32>.allocate(capacity: 1)
    argument.pointee = microseconds
    pthread_create(
        &thread, nil,
        { argument in
            usleep(argument?.load(as: UInt32.self) ?? 0)
            kill(getpid(), SIGKILL)
            return nil
        }, argument)
}

/// Sets the soft limit on the size of files, in bytes; `nil` lifts it.
private func limitFileSize(to bytes: UInt64?) {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    limit.rlim_cur = bytes.map { rlim_t($0) } ?? limit.rlim_max
    setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
}

/// `make fuzz` has 1,000.
private let killCount = thoroughness("SYNMESH_KILLS", usually: 20)

@Suite("Crashes and full disks")
struct CrashTests {
    let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    @Test(
        "a SIGKILL at a random point loses nothing that was recorded",
        arguments: 1...killCount)
    func kills(seed: Int) async throws {
        let path = scratch.file("killed.mcap")
        let progress = scratch.file("progress")
        await #expect(processExitsWith: .signal(SIGKILL)) {
            [path = path as String, progress = progress as String, seed = seed as Int] in
            var generator = SeededGenerator(seed: UInt64(seed))
            let counter = try SharedCounter(path: progress)
            let writer = try HistoryWriter(path: path, process: "alpha", clock: clock)
            killThisProcess(after: UInt32.random(in: 0...30_000, using: &generator))
            for sequence in 1...UInt64.max {
                let envelope = crashEnvelope(sequence)
                // Every other run by strands, as batches are recorded.
                let isRecorded =
                    seed.isMultiple(of: 2) ? try writer.recordByStrand(envelope) : false
                if !isRecorded { try writer.record(envelope, .sent, transport: "zmq") }
                counter.value = sequence
            }
        }
        let counter = try SharedCounter(path: progress)
        defer { counter.unmap() }
        let recorded = Int(counter.value)
        let history = try HistoryReader.read(path: path)
        #expect(history.notes == [])
        #expect((recorded...recorded + 1).contains(history.records.count))
        var causes = 0
        for (index, record) in history.records.enumerated() {
            let envelope = crashEnvelope(UInt64(index + 1))
            #expect(record.identity == envelope.identity)
            #expect(record.type == envelope.type)
            #expect(record.content.digest == ContentDigest.xxh3(envelope.content))
            if envelope.cause != nil { causes += 1 }
        }
        #expect(history.annotations.count == causes, "a cause without its envelope, or without one")
        try HistorySealer.seal(path: path)
        #expect(try HistoryReader.read(path: path) == history)
    }

    @Test("a reader beside the writer sees a whole file at any time", .timeLimit(.minutes(2)))
    func concurrentReading() async throws {
        let path = scratch.file("live.mcap")
        let writing = Task.detached {
            let writer = try HistoryWriter(path: path, process: "alpha", clock: clock)
            for sequence in 1...UInt64(20_000) {
                try writer.record(crashEnvelope(sequence), .sent, transport: "zmq")
            }
            try writer.seal()
        }
        var before = 0
        while before < 20_000 {
            // The time limit's way out, should the writer fail.
            try Task.checkCancellation()
            guard access(path, F_OK) == 0 else {
                await Task.yield()
                continue
            }
            let history = try HistoryReader.read(path: path)
            try #require(history.notes == [])
            try #require(history.records.count >= before)
            before = history.records.count
            try #require(history.records.last?.identity.sequence ?? 0 == UInt64(before))
        }
        try await writing.value
    }

    @Test("a file-size limit is an error, the file stays valid, and room lets it go on")
    func sizeLimit() async throws {
        let path = scratch.file("full.mcap")
        // Twice: with the signal at its default, which would end the process, and ignored.
        for ignored in [false, true] {
            await #expect(processExitsWith: .success) {
                [path = path as String, ignored = ignored as Bool] in
                if ignored { signal(SIGXFSZ, SIG_IGN) }
                unlink(path)
                limitFileSize(to: 500_000)
                let writer = try HistoryWriter(path: path, process: "alpha", clock: clock)
                var recorded: UInt64 = 0
                let error = #expect(throws: HistoryError.self) {
                    while true {
                        try writer.record(
                            envelope(recorded + 1, content: [UInt8](repeating: 1, count: 1_000)),
                            .sent, transport: "zmq")
                        recorded += 1
                    }
                }
                #expect(error?.isFull == true)
                #expect(error?.description.contains("ulimit") == true)
                // The last window is shrunk to what fits before the limit counts as reached.
                #expect(recorded > 400)
                #expect(try HistoryReader.read(path: path).records.count == Int(recorded))
                #expect(try HistoryReader.read(path: path).notes == [])

                limitFileSize(to: nil)
                try writer.record(envelope(recorded + 1), .sent, transport: "zmq")
                #expect(try HistoryReader.read(path: path).records.count == Int(recorded) + 1)

                limitFileSize(to: 1)
                try writer.seal()
                let history = try HistoryReader.read(path: path)
                #expect(history.notes == [], "closing needs no room")
                #expect(throws: HistoryError.self) { try HistorySealer.seal(path: path) }
                #expect(try HistoryReader.read(path: path) == history)
            }
        }
    }

    @Test("all 65,535 channels may be used; one more is an error, and the others go on")
    func channels() throws {
        let path = scratch.file("channels.mcap")
        let writer = try HistoryWriter(path: path, process: "alpha", clock: clock)
        for number in 1..<UInt64(MCAP.channelsMax) {
            try writer.record(
                envelope(number, type: "type-\(number)", content: []), .sent, transport: "zmq")
        }
        #expect(throws: HistoryError(.record, path, .channelsExhausted)) {
            try writer.record(envelope(1, type: "one-more"), .sent, transport: "zmq")
        }
        try writer.record(envelope(2, type: "type-1"), .sent, transport: "zmq")
        try writer.annotate(.note("still here", at: 1))
        let history = try HistoryReader.read(path: path)
        #expect(history.notes == [])
        #expect(history.records.count == MCAP.channelsMax)
        #expect(history.annotations == [.note("still here", at: 1)])
        #expect(history.records[MCAP.channelsMax - 2].type == "type-\(MCAP.channelsMax - 1)")
    }
}
