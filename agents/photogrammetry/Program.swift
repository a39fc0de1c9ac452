import AgentRuntime

/// The agents of the photogrammetry line, and a tool that makes and measures their files.
@main
struct Program {
    static func main() {
        let arguments = Array(CommandLine.arguments.dropFirst())
        if arguments.isEmpty {
            AgentMain.run(
                "synmesh-photogrammetry",
                kinds: [
                    "camera": Camera.self, "features": Features.self, "dense": Dense.self,
                    "mesh": Mesh.self,
                ])
        }
        CloudTool.run(arguments)
    }
}
