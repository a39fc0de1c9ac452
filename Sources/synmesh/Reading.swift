import ArgumentParser
import Recording
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

/// The histories of a run, by its directory; twins' meshes count as parts of the run.
func loadHistories(_ run: String) throws -> [History] {
    do throws(HistoryError) {
        var histories: [History] = []
        for part in ["", "/twin-zmq", "/twin-nats"] {
            for path in try RunDirectory(run + part).histories() {
                histories.append(try HistoryReader.read(path: path))
            }
        }
        if !histories.isEmpty { return histories }
        printError("\(run): no histories there; name a run's directory, as logs/NAME/latest")
    } catch {
        printError("\(error)")
    }
    throw ExitStatus.badInput.code
}

extension String {
    var withoutLastBreak: Substring { hasSuffix("\n") ? dropLast() : self[...] }
}

func printError(_ text: Substring) { printError(String(text)) }
