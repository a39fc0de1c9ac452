import Foundation
import JSON
import Testing

/// Full queues and frozen peers, through the built program.
@Suite(.serialized) struct OverflowRuns {
    @Test(
        "a receiver that freezes under load loses nothing where senders wait, and is named",
        .timeLimit(.minutes(3)))
    func pause() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/slow-receiver.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass")
        ScenarioRuns.expectClean(verdict)
        #expect(verdict.count("delivery", "delivered") == 6_000)
        let events = try String(
            contentsOfFile: folder.latest("slow-receiver") + "/events.jsonl", encoding: .utf8)
        let of = { (name: String) in
            events.split(separator: "\n").contains {
                $0.contains(#""event":"\#(name)""#) && $0.contains(#""peer":"echo""#)
            }
        }
        #expect(of("silent"))
        #expect(of("answers"))
    }

    @Test(
        "the same load where full queues drop loses messages, and each of them is named",
        .timeLimit(.minutes(3)), arguments: ["drop_newest", "drop_oldest"])
    func drop(overflow: String) throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "slow-receiver", replacing: [],
            inTopology: [("overflow: pause", "overflow: \(overflow)")])
        let (_, verdict) = try Program.play(scenario, in: folder)
        // The fault explains those of them that were dropped while it held.
        let lost = try #require(verdict.count("delivery", "lost"))
        #expect(lost > 0)
        #expect(verdict.count("delivery", "delivered") == 6_000 - lost)
        let findings = (verdict["findings"]?.array ?? []).filter { $0["class"] == "lost" }
        #expect(!findings.isEmpty)
        for finding in findings { #expect(finding["flow"] == "pinger -> echo") }
    }

    @Test(
        "a topic proxy's publishers wait for a slow server, or what it has no room for is named",
        .timeLimit(.minutes(3)), arguments: ["pause", "drop_newest"])
    func slowServer(overflow: String) throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "slow-server", replacing: [],
            inTopology: [("overflow: pause", "overflow: \(overflow)")])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        let lost = try #require(verdict.count("delivery", "lost"))
        #expect(verdict.count("delivery", "delivered") == 600 - lost)
        guard overflow != "pause" else {
            #expect(ending.exitCode == 0, "\(ending.errors)")
            #expect(verdict["verdict"] == "pass")
            ScenarioRuns.expectClean(verdict)
            return #expect(lost == 0)
        }
        #expect(lost > 0)
        let findings = (verdict["findings"]?.array ?? []).filter { $0["class"] == "lost" }
        #expect(!findings.isEmpty)
        for finding in findings { #expect(finding["flow"] == "feeder -> topic:feed.data") }
    }
}
