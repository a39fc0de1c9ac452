import ArgumentParser
import Scenarios
import Topologies
import YAML

/// Reads a scenario, or prints what is wrong with it and ends with exit code 2.
func loadScenario(
    _ path: String, adjusting adjustments: Adjustments
) throws -> Scenario.Loaded {
    let diagnostics = Diagnostics()
    let loaded = Scenario.load(
        path: path, machine: machineFacts(), adjusting: adjustments, reportingTo: diagnostics)
    if !diagnostics.rendered.isEmpty { printError(diagnostics.rendered.withoutLastBreak) }
    guard let loaded else { throw ExitStatus.badInput.code }
    return loaded
}

/// Reads a topology, or prints what is wrong with it and ends with exit code 2.
func loadTopology(_ path: String, adjusting adjustments: Adjustments) throws -> Topology {
    let outcome = Topology.load(path: path, facts: machineFacts(), adjusting: adjustments)
    if !outcome.rendered.isEmpty { printError(outcome.rendered.withoutLastBreak) }
    guard let topology = outcome.topology else { throw ExitStatus.badInput.code }
    return topology
}

func machineFacts() -> MachineFacts {
    MachineFacts.measured(runtimeDirectory: Machine.runtimeFolder)
}

extension String {
    var withoutLastBreak: Substring { hasSuffix("\n") ? dropLast() : self[...] }
}

func printError(_ text: Substring) { printError(String(text)) }
