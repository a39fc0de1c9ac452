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

    func run() throws {
        var isGood = true
        for file in files {
            let diagnostics = Diagnostics()
            if Scenario.isScenario(path: file) {
                _ = Scenario.load(path: file, machine: machineFacts(), reportingTo: diagnostics)
            } else {
                for diagnostic in Topology.load(path: file, facts: machineFacts()).diagnostics {
                    diagnostics.report(diagnostic)
                }
            }
            if !diagnostics.rendered.isEmpty {
                print(diagnostics.rendered, terminator: "")
            }
            if diagnostics.hasErrors {
                isGood = false
            } else {
                print("\(file): ok")
            }
        }
        if !isGood { throw ExitStatus.badInput.code }
    }
}
