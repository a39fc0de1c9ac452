import AgentRuntime

/// The agents that think together about the Game of 24.
@main
struct Program {
    static func main() {
        AgentMain.run(
            "synmesh-thoughts",
            kinds: [
                "coordinator": Coordinator.self, "proposer": Proposer.self,
                "evaluator": Evaluator.self, "observer": Observer.self,
            ])
    }
}
