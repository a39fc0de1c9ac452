import AgentRuntime

/// The agent that says numbered things, answers pings, and keeps account of what it heard.
@main
struct Program {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        guard arguments.isEmpty else { Measuring.run(arguments) }
        AgentMain.run("synmesh-probe", kinds: ["probe": Probe.self, "double": StandIn.self])
    }
}
