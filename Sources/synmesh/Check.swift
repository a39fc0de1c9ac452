import ArgumentParser
import JSON
import Scenarios
import Topologies
import YAML

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Say everything that is wrong with topologies and scenarios.",
        discussion: """
            Nothing is spawned. Exit code 2 when there is an error; with --migration 1 when something \
            cannot move to NATS as it is.
            """)

    @Argument(help: "Topologies or scenarios (YAML).", completion: .file(extensions: ["yaml"]))
    var files: [String]

    @Flag(help: "Print what results of each topology: references and overrides replaced.")
    var render = false

    @Flag(help: "Say what cannot move to NATS as it is, or is not the same there, and what to do.")
    var migration = false

    @Flag(help: "With --migration, print one JSON object to standard output.")
    var json = false

    @OptionGroup var adjustments: AdjustmentArguments

    func validate() throws {
        if json, !migration { throw ValidationError("--json goes with --migration.") }
    }

    func run() throws {
        var isGood = true
        var findings: [MigrationFinding] = []
        let adjustments = try adjustments.read()
        for file in files {
            let diagnostics = Diagnostics()
            let topology: Topology?
            var scenario: Scenario?
            if Scenario.isScenario(path: file) {
                let loaded = Scenario.load(
                    path: file, machine: machineFacts(), adjusting: adjustments,
                    reportingTo: diagnostics)
                (topology, scenario) = (loaded?.topology, loaded?.scenario)
            } else {
                let outcome = Topology.load(
                    path: file, facts: machineFacts(), adjusting: adjustments)
                for diagnostic in outcome.diagnostics { diagnostics.report(diagnostic) }
                topology = outcome.topology
            }
            if !diagnostics.rendered.isEmpty {
                // What is rendered is a document of its own.
                if render || json {
                    printError(diagnostics.rendered.withoutLastBreak)
                } else {
                    print(diagnostics.rendered, terminator: "")
                }
            }
            if diagnostics.hasErrors {
                isGood = false
            } else if migration, let topology {
                let found = Preflight.findings(of: topology, in: scenario)
                findings += found
                if !json { show(found, of: file) }
            } else if render, let topology {
                if files.count > 1 { print("---\n# \(file)") }
                print(topology.rendered, terminator: "")
            } else {
                print("\(file): ok")
            }
        }
        if json { print(Value.object(["findings": .array(findings.map(\.json))]).canonical) }
        if !isGood { throw ExitStatus.badInput.code }
        if findings.contains(where: { $0.severity == .error }) {
            throw ExitStatus.notAsExpected.code
        }
    }

    private func show(_ findings: [MigrationFinding], of file: String) {
        if findings.isEmpty { print("\(file): nothing stands in the way") }
        for finding in findings {
            let place = finding.location.map { "\($0.source.name):\($0.line): " } ?? ""
            print("\(place)\(finding.severity.rawValue): \(finding.text)")
            print("  help: \(finding.remedy)")
        }
    }
}
