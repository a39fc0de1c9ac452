import ArgumentParser
import Scenarios
import Supervision
import Topologies

struct Up: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Spawn a topology and keep it up until Ctrl-C.",
        discussion: "Exit code 1 when a part ended for good, or when anything was left behind.")

    @Argument(help: "The topology (YAML).", completion: .file(extensions: ["yaml"]))
    var topology: String

    @Flag(help: "Start the servers and proxies, and print where they are: the agents are yours.")
    var withoutAgents = false

    @OptionGroup var adjustments: AdjustmentArguments

    @OptionGroup var options: RunArguments

    func run() async throws {
        let topology = try loadTopology(topology, adjusting: adjustments.read())
        guard let guardian = Synmesh.guardian else { throw ExitStatus.defect.code }
        var runOptions = options.runOptions
        runOptions.showsOutput = true
        let session: MeshSession
        let (ends, end) = AsyncStream.makeStream(of: String?.self)
        do {
            let interruptions = try Interruptions()
            session = try MeshSession(topology, guardian: guardian, options: runOptions)
            let stopping = session
            await interruptions.watch {
                end.yield(nil)
            } again: {
                await stopping.kill()
            }
            try await session.start(withAgents: !withoutAgents)
        } catch {
            printError("synmesh: \(error)")
            throw ExitStatus(for: error).code
        }
        printError("up: \(topology.name), logs in \(session.directory) (Ctrl-C ends it)")
        let watched = session
        Task { end.yield(await watched.waitForBreakage()) }
        var breakage: String?
        for await reason in ends {
            breakage = reason
            break
        }
        if let breakage { printError("synmesh: \(breakage)") }
        let certificate = await session.stop()
        printError("down: \(certificate)")
        if breakage != nil || !certificate.isClean { throw ExitStatus.notAsExpected.code }
    }
}
