import Testing

@testable import Scenarios

@Suite struct ReleaseTests {
    private struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    @Test("a refused release keeps no other proxy from releasing, and every refusal is named")
    func everyProxyIsAsked() async throws {
        var asked: [String] = []
        let nodes = [
            (name: "core", role: "branch"), (name: "tot", role: "topics"),
            (name: "more", role: "topics"),
        ]
        do {
            _ = try await ReleaseError.releasing("x", at: nodes) { node, role in
                asked.append("\(role) \(node)")
                if node != "tot" { throw Refusal(description: "no \(node)") }
                return 3
            }
            Issue.record("not thrown")
        } catch {
            #expect(
                error.description
                    == "what was kept for x was not released by core (no core), more (no more)")
        }
        #expect(asked == ["branch core", "topics tot", "topics more"])
        let released = try await ReleaseError.releasing("x", at: nodes) { _, _ in 2 }
        #expect(released == 6)
    }
}
