import ArgumentParser
import Foundation
import YAML

/// What files get from the command line: overrides, and values for their references.
struct AdjustmentArguments: ParsableArguments {
    @Option(
        name: .customLong("set"),
        help: ArgumentHelp(
            "Put a value into the topology, such as 'agents.camera.replicas=4'; may be repeated.",
            valueName: "path=value"))
    var overrides: [String] = []

    @Option(
        help: "Read values for '${NAME}' from a file of NAME=VALUE lines, too; may be repeated.",
        completion: .file())
    var envFile: [String] = []

    /// What they say, or what is wrong with them and exit code 2.
    ///
    /// The environment of this process wins over files, a later file over an earlier one.
    func read() throws -> Adjustments {
        let diagnostics = Diagnostics()
        var variables: [String: String] = [:]
        for file in envFile {
            for variable in EnvironmentFile.read(file, reportingTo: diagnostics) {
                variables[variable.name] = variable.value
            }
        }
        variables.merge(ProcessInfo.processInfo.environment) { $1 }
        let overrides = overrides.compactMap {
            Override($0, origin: "--set", reportingTo: diagnostics)
        }
        guard !diagnostics.hasErrors else {
            printError(diagnostics.rendered.withoutLastBreak)
            throw ExitStatus.badInput.code
        }
        return Adjustments(variables: variables, overrides: overrides)
    }
}
