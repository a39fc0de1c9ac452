internal import Glibc
internal import TestSupport
import Testing

@testable import SharedMemory

@Suite("Pools: users that are killed", .serialized)
struct KillTests {
    @Test(
        "Killed between any two changes, an operation leaves every slot to be lent again",
        arguments: ["write", "give back", "read", "share", "withdraw", "refuse"])
    func everyPoint(_ operation: String) throws {
        var wasDone = false
        for count in 1...40 where !wasDone {
            let pool = try TestPool(slotCount: 2, lease: .milliseconds(20))
            let opened = try pool.open()
            let reference = try opened.publish(5, count: 100, readers: 1)
            // What the operation may write over: a content that is done with.
            let past = try opened.publish(6, count: 50)
            _ = try opened.bytes(past)
            let end = try Subject.run(
                ["once", operation, pool.path, "\(count)"] + Subject.words(reference))
            wasDone = end.code == 0
            #expect(wasDone || end.signal == SIGKILL, "change \(count): \(end.text)")
            let slot = try pool.segment.status().slots[past.slot]
            let isOld = slot.generation == past.generation && slot.size == 50
            let isNew = slot.generation > past.generation && slot.size == 100 && slot.pending == 3
            #expect(slot.state != .published || isOld || isNew, "change \(count): \(slot)")
            // Only what is written again may be gone, and only as a whole.
            do throws(SharedMemoryError) {
                let bytes = try opened.read(reference).withBytes { [UInt8]($0) }
                #expect(bytes == [UInt8](repeating: 5, count: 100))
            } catch {
                #expect(error.reason == .stale)
            }
            try expectAllSlotsCanBeLent(pool, opened, "after change \(count)")
        }
        #expect(wasDone, "it changes more than 40 words")
    }

    @Test("1,000 kills of writers and readers lose no slot and tear no reading")
    func thousandKills() throws {
        let pool = try TestPool(slotSize: 60_000, slotCount: 6, lease: .milliseconds(50))
        var crew = try Crew(pool: pool, seed: 20_250_101)
        try crew.killUntil(1_000)
        let reports = crew.end()
        #expect(reports == "", "a rule did not hold")
        let status = try pool.segment.status()
        #expect(status.corrupted == 0)
        // Without work done between the kills they would show nothing.
        #expect(status.reads > 1_000, "\(status.reads) readings")
        #expect(status.reclaimed > 20, "\(status.reclaimed) slots were taken back")
        try expectAllSlotsCanBeLent(pool, pool.open(), "in the end")
        pool.segment.unlink()
        let names = try output(of: ["ls", "/dev/shm"])
        let name = try #require(pool.path.split(separator: "/").last)
        #expect(
            !String(decoding: names, as: UTF8.self).split(separator: "\n").contains(name))
    }

    @Test("No reader is refused who has a right to come, however many writers look for slots")
    func noFalseRefusal() throws {
        let pool = try TestPool(slotSize: 200, slotCount: 3, lease: .seconds(600))
        var crew = try Crew(pool: pool, seed: 1)
        let end = ContinuousClock.now + .seconds(60)
        while try pool.segment.status().reads < 20_000, ContinuousClock.now < end { usleep(1_000) }
        #expect(crew.end() == "", "a rule did not hold")
        let status = try pool.segment.status()
        #expect(status.reads >= 20_000 && status.corrupted == 0 && status.expired == 0)
    }

    /// Waits for leases to end; a slot that nobody can have is one lost for good.
    private func expectAllSlotsCanBeLent(
        _ pool: TestPool, _ opened: Pool, _ moment: Comment
    ) throws {
        let end = ContinuousClock.now + .seconds(5)
        var count = 0
        // All at once: a loan that ended would be lent again.
        try withLoans(pool.layout.slotCount, opened, until: end) { count += 1 }
        #expect(count == pool.layout.slotCount, moment)
    }

    private func withLoans(
        _ count: Int, _ pool: Pool, until end: ContinuousClock.Instant, _ each: () -> Void
    ) throws {
        guard count > 0 else { return }
        while ContinuousClock.now < end {
            if let loan = try pool.loan(byteCount: 1) {
                each()
                try withLoans(count - 1, pool, until: end, each)
                return withExtendedLifetime(loan.slot) {}
            }
            sched_yield()
        }
    }
}

/// Two writers and two readers, of which each that ends is followed by another.
private struct Crew {
    private let directory: TemporaryDirectory
    private let pool: TestPool
    private let program: String
    private let fifo: Int32
    private let report: Int32
    private var random: SeededGenerator
    private var processes: [Int32] = []
    private var failures = ""

    private static let roles = ["write", "write", "read", "read"]

    init(pool: TestPool, seed: UInt64) throws {
        self.pool = pool
        directory = try TemporaryDirectory()
        program = try builtProgram("shared-memory-subject")
        random = SeededGenerator(seed: seed)
        guard mkfifo(directory.file("references"), 0o600) == 0 else { throw TestFailure("no pipe") }
        // Held open, so that what is in it outlives those who use it.
        fifo = open(directory.file("references"), O_RDWR | O_NONBLOCK | O_CLOEXEC)
        report = open(
            directory.file("report"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        for index in Self.roles.indices { processes.append(try start(index)) }
    }

    /// Kills one after the other, at a random moment; some kill themselves between two changes.
    mutating func killUntil(_ count: Int) throws {
        var killed = 0
        let end = ContinuousClock.now + .seconds(120)
        while killed < count, ContinuousClock.now < end {
            usleep(UInt32.random(in: 0...4_000, using: &random))
            let victim = Int.random(in: 0..<processes.count, using: &random)
            for index in processes.indices {
                if index == victim { kill(processes[index], SIGKILL) }
                guard try reap(index, isKilled: index == victim) else { continue }
                killed += 1
                processes[index] = try start(index)
            }
        }
        if killed < count { failures += "only \(killed) were killed" }
    }

    /// Kills all that is left, and says what did not hold.
    mutating func end() -> String {
        for process in processes {
            var status: Int32 = 0
            kill(process, SIGKILL)
            waitpid(process, &status, 0)
        }
        defer {
            close(fifo)
            close(report)
        }
        return failures + Subject.text(of: report)
    }

    private mutating func start(_ index: Int) throws -> Int32 {
        let seed = Int.random(in: 1...1_000_000_000, using: &random)
        let changes = Bool.random(using: &random) ? 0 : Int.random(in: 1...400, using: &random)
        return try spawn(
            [
                program, Self.roles[index], pool.path, directory.file("references"), "\(seed)",
                "\(changes)",
            ], environment: [], output: report)
    }

    /// Whether a process has ended, which it did only by being killed.
    private mutating func reap(_ index: Int, isKilled: Bool) throws -> Bool {
        var status: Int32 = 0
        let result = waitpid(processes[index], &status, isKilled ? 0 : WNOHANG)
        guard result != 0 else { return false }
        guard result == processes[index] else { throw TestFailure("not reaped") }
        let end = Subject.outcome(status)
        if end.signal != SIGKILL {
            failures += "a \(Self.roles[index])r ended with \(end)\n"
        }
        return true
    }
}
