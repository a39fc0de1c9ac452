internal import Foundation
internal import Glibc
internal import Histogram
internal import JSON
internal import Scenarios

/// ZeroMQ beside NATS with 2, 10, 50 and 100 agents: programs of the SDK as they run in any mesh, with
/// their histories, in pairs of which one sends to the other at a fixed rate.
struct AgentsSuite: Suite {
    let name = "agents"

    static let counts = [2, 10, 50, 100]
    /// Messages a second by each sender; half of the agents send.
    static let rate = 100

    var metrics: [Metric] {
        Self.counts.flatMap { count in
            [
                Metric(
                    Self.name(count, "p50"),
                    "\(count / 2) pairs of probes, \(Self.rate) a second each, 256 B, from the time "
                        + "at which a message was due (HDR histogram of all receivers); ours is "
                        + "ZeroMQ, the reference the same agents on NATS"),
                Metric(Self.name(count, "p99"), "of the same messages"),
                Metric(
                    Self.name(count, "delivered"),
                    "by all receivers together, from the first message to the last"),
                Metric(Self.name(count, "lost"), "what was sent and not received, on both"),
                Metric(
                    Self.name(count, "processor time"),
                    "of all agents, the proxy or the server, for each message"),
                Metric(
                    Self.name(count, "resident, an agent"),
                    "mean of the agents, after the load"),
            ]
        }
    }

    private static func name(_ count: Int, _ what: String) -> String { "agents: \(count), \(what)" }

    func measure(_ bed: Bed) async throws -> [Row] {
        var rows: [Row] = []
        for count in Self.counts
        where bed.wantsAll
            || metrics.contains(where: {
                $0.name.hasPrefix("agents: \(count),") && bed.wants($0.name)
            })
        {
            rows += try await measure(bed, count)
        }
        return rows
    }

    private func measure(_ bed: Bed, _ count: Int) async throws -> [Row] {
        try await bed.withMesh(Self.topology(count), withAgents: true) { session in
            let loads = [
                try await AgentLoad(session, count, prefix: "z", passing: "core"),
                try await AgentLoad(session, count, prefix: "n", passing: "main"),
            ]
            // The first messages of a mesh find cold caches, and are not measured.
            for load in loads {
                _ = try await load.run(seconds: bed.options.isQuick ? 0.1 : 0.2)
            }
            let samples = try await bed.alternate(loads, quickly: 1) { load in
                try await load.run(seconds: bed.options.isQuick ? 0.3 : 3)
            }
            return Self.rows(count, samples, isQuick: bed.options.isQuick)
        }
    }

    private static func rows(
        _ count: Int, _ samples: [[AgentLoad.Sample]], isQuick: Bool
    ) -> [Row] {
        let offered = Double(count / 2 * rate)
        func row(
            _ what: String, _ unit: String, target: Row.Target = .none,
            _ figure: (AgentLoad.Sample) -> Double
        ) -> Row {
            Row(
                name(count, what), unit: unit, ours: samples[0].map(figure),
                reference: samples[1].map(figure), target: target)
        }
        let lost = samples.joined().reduce(0) { $0 + $1.lost }
        return [
            row("p50", "us") { $0.p50 },
            row("p99", "us") { $0.p99 },
            // One late message stretches a short run by more than what is asked for.
            row("delivered", "1/s", target: isQuick ? .none : .atLeast(offered * 0.98)) {
                $0.perSecond
            },
            Row(name(count, "lost"), unit: "messages", ours: [lost], target: .atMost(0)),
            row("processor time", "us") { $0.processorTime },
            row("resident, an agent", "MB") { $0.resident },
        ]
    }

    /// Both in one mesh, so that they have the same neighbours; only one of them is under load at a time.
    private static func topology(_ count: Int) -> String {
        let agents = [("z", "zmq"), ("n", "nats")].flatMap { prefix, transport in
            (1...count / 2).map { number in
                "  \(prefix)s\(number): { kind: probe, transport: \(transport), "
                    + "settings: { to: [\(prefix)r\(number)], latency: true, size: 256 } }\n"
                    + "  \(prefix)r\(number): { kind: probe, transport: \(transport), "
                    + "settings: { latency: true } }\n"
            }
        }
        return "synmesh: 1\nname: bench\nnats:\n  main: {}\nbranches:\n  core: {}\nagents:\n"
            + agents.joined()
    }
}

/// The agents of one transport under load.
private struct AgentLoad: Sendable {
    struct Sample: Sendable {
        var p50 = Double.nan
        var p99 = Double.nan
        var perSecond = 0.0
        var lost = 0.0
        /// Microseconds for each message.
        var processorTime = 0.0
        /// Megabytes for each agent.
        var resident = 0.0
    }

    private let session: MeshSession
    private let prefix: String
    private let pairs: Int
    private let agents: [Int32]
    private let others: [Int32]

    init(_ session: MeshSession, _ count: Int, prefix: String, passing: String) async throws {
        self.session = session
        self.prefix = prefix
        pairs = count / 2
        var agents: [Int32] = []
        for number in 1...count / 2 {
            agents.append(try await session.process(of: "\(prefix)s\(number)"))
            agents.append(try await session.process(of: "\(prefix)r\(number)"))
        }
        self.agents = agents
        others = [try await session.process(of: passing)]
    }

    /// Sends for so long, and waits for what was sent.
    func run(seconds: Double) async throws -> Sample {
        let rate = Double(AgentsSuite.rate)
        let each = max(1, Int(rate * seconds))
        let before = try await heard()
        let worked = processorTime
        let began = ContinuousClock.now
        try await withThrowingTaskGroup { group in
            for number in 1...pairs {
                group.addTask {
                    _ = try await session.command(
                        "load", to: "\(prefix)s\(number)",
                        ["count": Value(each), "rate": .double(rate), "size": 256],
                        timeout: .seconds(seconds + 10))
                }
            }
            try await group.waitForAll()
        }
        let sent = each * pairs
        let deadline = began + .seconds(seconds + 10)
        var after = try await heard()
        while after.count - before.count < UInt64(sent), .now < deadline {
            try await Task.sleep(for: .milliseconds(20))
            after = try await heard()
        }
        let received = Int(after.count - before.count)
        var sample = Sample()
        let latencies = after.histogram(without: before)
        sample.p50 = Double(latencies.valueAtPercentile(50)) / 1_000
        sample.p99 = Double(latencies.valueAtPercentile(99)) / 1_000
        sample.lost = Double(sent - received)
        // Each sender takes (each - 1) / rate from its first to its last; lateness adds to that.
        let span = Double(each - 1) / rate + Double(latencies.maxRecorded) / 1e9
        sample.perSecond = Double(received) / max(span, 1 / rate) * Double(each - 1) / Double(each)
        sample.processorTime = (processorTime - worked) * 1e6 / Double(max(1, received))
        sample.resident =
            agents.reduce(0) { $0 + Bed.resident(of: $1) } / Double(agents.count)
        return sample
    }

    /// What all receivers have counted so far.
    private func heard() async throws -> LatencyCounts {
        try await withThrowingTaskGroup { group in
            for number in 1...pairs {
                group.addTask { try await session.command("result", to: "\(prefix)r\(number)") }
            }
            var counts = LatencyCounts()
            for try await result in group { counts.add(result["latency"] ?? .null) }
            return counts
        }
    }

    /// Seconds of processor time that agents and proxy have used.
    private var processorTime: Double {
        (agents + others).reduce(0) { $0 + Bed.processorTime(of: $1) }
    }
}

/// The buckets of several agents' histograms.
struct LatencyCounts: Sendable {
    private(set) var count: UInt64 = 0
    private var buckets: [UInt64: UInt64] = [:]

    /// Adds what a probe's result says of its latencies.
    mutating func add(_ value: Value) {
        for bucket in value["buckets"]?.array ?? [] {
            guard let pair = bucket.array, pair.count == 2, let at = pair[0].integer,
                let number = pair[1].integer, at >= 0, number >= 0
            else { continue }
            buckets[UInt64(at), default: 0] += UInt64(number)
            count += UInt64(number)
        }
    }

    /// What came since an earlier count.
    func histogram(without earlier: LatencyCounts) -> Histogram<UInt64> {
        var histogram = Histogram<UInt64>(
            highestTrackableValue: 120_000_000_000, numberOfSignificantValueDigits: .three)
        for (value, number) in buckets {
            let new = number - min(number, earlier.buckets[value, default: 0])
            if new > 0 { histogram.record(value, count: new) }
        }
        return histogram
    }
}
