import Foundation
import JSON
import Testing

/// One agent that sends in the names of others, by the built program.
@Suite(.serialized) struct GatewayRuns {
    @Test("what is sent in others' names arrives, in flows of their own", .timeLimit(.minutes(2)))
    func passes() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/gateway.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        // To an agent and to a topic.
        #expect(verdict.count("delivery", "sent") == 6_000)
        #expect(verdict.count("delivery", "delivered") == 6_000)
    }

    @Test("what is lost of it is named by its sender and sequence", .timeLimit(.minutes(2)))
    func loses() throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "gateway", replacing: [],
            inTopology: [
                (
                    "as: [phone-1, phone-2, phone-3]",
                    "as: [phone-1, phone-2, phone-3], defects: { lose: 500 }"
                )
            ])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(verdict["verdict"] == "fail")
        // Each of three senders loses the 500th and the 1,000th of both of its flows.
        #expect(verdict.count("delivery", "unexplained", "lost") == 12)
        let flows = (verdict["findings"]?.array ?? []).compactMap { $0["flow"]?.string }
        for phone in ["phone-1", "phone-2", "phone-3"] {
            #expect(flows.contains { $0.hasPrefix(phone) }, "\(flows)")
        }
    }
}
