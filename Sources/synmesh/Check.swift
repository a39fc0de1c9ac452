import ArgumentParser
import Scenarios
import Topologies
import YAML

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say everything that is wrong with topologies and scenarios.",
        discussion: "Nothing is spawned. Exit code 2 when there is an error.")

    @Argument(help: "Topologies or scenarios (YAML).", completion: .file(extensions: ["yaml"]))
    var files: [String]

    @Flag(help: "Print what results of each topology: references and overrides replaced.")
    var render = false

    @OptionGroup var adjustments: AdjustmentArguments

    func run() throws {
        var isGood = true
        let adjustments = try adjustments.read()
        for file in files {
            let diagnostics = Diagnostics()
            let topology: Topology?
            if Scenario.isScenario(path: file) {
                topology =
                    Scenario.load(
                        path: file, machine: machineFacts(), adjusting: adjustments,
                        reportingTo: diagnostics)?.topology
            } else {
                let outcome = Topology.load(
                    path: file, facts: machineFacts(), adjusting: adjustments)
                for diagnostic in outcome.diagnostics { diagnostics.report(diagnostic) }
                topology = outcome.topology
            }
            if !diagnostics.rendered.isEmpty {
                // What is rendered is a document of its own.
                if render {
                    printError(diagnostics.rendered.withoutLastBreak)
                } else {
                    print(diagnostics.rendered, terminator: "")
                }
            }
            if diagnostics.hasErrors {
                isGood = false
            } else if render, let topology {
                if files.count > 1 { print("---\n# \(file)") }
                print(topology.rendered, terminator: "")
            } else {
                print("\(file): ok")
            }
        }
        if !isGood { throw ExitStatus.badInput.code }
    }
}
