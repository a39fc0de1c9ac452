import JSON
import Testing

@testable import Analysis

@Suite("Promises on memory")
struct MemoryTests {
    private static let base = 20_000_000

    private func report(
        _ resident: [Int], of role: MemorySamples.Role = .proxy
    ) -> MemoryReport {
        MemoryReport(
            MemorySamples(process: "core", incarnation: 1, role: role, resident: resident))
    }

    private func judge(_ promise: MemoryPromise, _ reports: MemoryReport...) -> Judgement {
        Judgement.worst(of: promise.judge(reports).map(\.verdict) + [.pass])
    }

    @Test(
        "What grows by more than is promised fails, wherever it begins to",
        arguments: [
            (0, Judgement.pass), (5, .pass), (19, .pass), (24, .pass), (26, .fail), (40, .fail),
            (300, .fail),
        ])
    func growth(percent: Int, expected: Judgement) {
        // By this much over the whole time, evenly: the medians are 60 hundredths of it apart.
        let total = Self.base * percent / 100
        let samples = (0..<1_000).map { Self.base + total * $0 / 999 }
        let agent = report([Int](repeating: Self.base, count: 100), of: .agent)
        // Four hundredths of what is early and the slack of 2 MiB come to a growth of some 24.6.
        let promise = MemoryPromise(growth: 0.04)
        #expect(judge(promise, report(samples), agent) == expected)
    }

    @Test("What comes and goes, and what fills at the start, is no growth")
    func waves() {
        let agent = report([Int](repeating: Self.base, count: 100), of: .agent)
        let waves = (0..<1_000).map { Self.base + $0 % 100 * 80_000 }
        #expect(judge(MemoryPromise(growth: 0.1), report(waves), agent) == .pass)
        let filling = (0..<1_000).map { Self.base + min($0, 190) * 100_000 }
        #expect(judge(MemoryPromise(growth: 0.1), report(filling), agent) == .pass)
    }

    @Test("The largest sample counts, and each role has its bound")
    func peak() {
        var samples = [Int](repeating: Self.base, count: 100)
        samples[50] = Self.base * 2
        let promise = MemoryPromise(proxies: Self.base * 3 / 2)
        #expect(judge(promise, report(samples)) == .fail)
        #expect(
            judge(MemoryPromise(agents: Self.base * 3 / 2), report(samples, of: .agent)) == .fail)
        #expect(judge(promise, report(samples, of: .agent), report([Self.base])) == .pass)
    }

    @Test("What nobody saw often enough is not known, which is no pass")
    func unseen() {
        let few = [Int](repeating: Self.base, count: MemoryReport.samplesMin - 1)
        let many = few + few
        #expect(judge(MemoryPromise(growth: 0.1)) == .inconclusive)
        #expect(
            judge(MemoryPromise(growth: 0.1), report(few), report(many, of: .agent))
                == .inconclusive)
        #expect(judge(MemoryPromise(growth: 0.1), report(many), report(many, of: .agent)) == .pass)
        #expect(judge(MemoryPromise(proxies: 1 << 40), report(many, of: .agent)) == .inconclusive)
    }

    @Test("A verdict carries it there and back")
    func roundTrip() throws {
        var verdict = Verdict(
            scenario: "s", topology: "t", run: "r", seed: 1, started: 1, verdict: .pass,
            outcome: .completed, reason: "r")
        verdict.memory = [report([Self.base]), report([Int](repeating: Self.base, count: 100))]
        #expect(try Verdict(json: Value(parsing: verdict.json.canonical)).memory == verdict.memory)
    }
}
