import Foundation
import JSON
import Testing

/// The soak at its small size, and what must make it fail.
@Suite(.serialized) struct SoakRuns {
    @Test(
        "a hundred thousand envelopes over either transport, none lost or repeated, memory flat",
        .timeLimit(.minutes(5)), arguments: ["zeromq", "nats"])
    func small(transport: String) throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play(
            "scenarios/soak-\(transport)-small.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass", "\(verdict["reason"]?.string ?? "")")
        ScenarioRuns.expectClean(verdict)
        #expect(try #require(verdict.count("delivery", "sent")) > 100_000)
        // Questions and answers go at least once, also while the agent moves.
        let kept = verdict.at("delivery", "at_least_once", "delivered")?.integer
        #expect(kept == 600)
        #expect(verdict["moves"]?.array?.map { $0["to"]?.string } == ["nats", "zmq"])
        let memory = verdict["memory"]?.array ?? []
        #expect(Set(memory.compactMap { $0["role"]?.string }) == ["agent", "proxy"])
        let judged = memory.filter { $0["late_bytes"] != nil }
        #expect(judged.contains { $0["process"] == "core" })
        #expect(judged.contains { $0["process"] == "source" })
        let carried = verdict["latency"]?[transport == "nats" ? "nats" : "zmq"]?["n"]?.integer
        #expect(try #require(carried) > 80_000)
    }

    @Test("one lost envelope of thirty thousand fails it", .timeLimit(.minutes(5)))
    func loss() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/soak-loss.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "fail")
        #expect(verdict.count("delivery", "lost") == 1)
    }

    @Test("a promise on memory that is not kept fails the run", .timeLimit(.minutes(5)))
    func memory() throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "soak-zeromq-small",
            replacing: [
                ("memory: { flat: 10%, proxies: 60MB, agents: 60MB }", "memory: { proxies: 1MB }"),
                ("expect: [pass, rolled_back]\n", ""), ("count: 40000", "count: 300"),
                ("minimum_samples: 90000", "minimum_samples: 1"),
            ])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1)
        #expect(verdict["verdict"] == "fail")
        #expect(verdict["reason"]?.string?.contains("of memory, promised") == true)
        #expect(verdict.count("delivery", "lost") == 0)
    }
}
