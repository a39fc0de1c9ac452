internal import YAML

/// Helper processes, what parts wait for, and groups.
extension Resolver {
    func resolvedProcesses() -> [HelperProcess] {
        declarations.processes.flatMap { entry -> [HelperProcess] in
            guard let process = entry.value else { return [] }
            let dependencies = dependencies(process.dependencies)
            let environment = environment(from: process.environmentFiles)
                .merging(process.environment) { $1 }
            return processNames[entry.key, default: []].map { name in
                HelperProcess(
                    name: name, group: entry.key, command: process.command ?? [],
                    environment: environment, dependencies: dependencies,
                    restart: process.restart, upkeep: resolved(process.upkeep),
                    isEssential: process.isEssential, location: entry.location)
            }
        }
    }

    /// The same, with what is relative to the topology's folder made whole.
    func resolved(_ upkeep: Upkeep) -> Upkeep {
        guard let path = upkeep.workingDirectory, !path.hasPrefix("/") else { return upkeep }
        return Upkeep(
            grace: upkeep.grace, probes: upkeep.probes, workingDirectory: directory + "/" + path,
            limits: upkeep.limits, log: upkeep.log)
    }

    /// What a part waits for, replicas one by one.
    func dependencies(_ declared: [Declarations.Dependency]) -> [Dependency] {
        var seen: Set<String> = []
        return declared.flatMap { dependency in
            expanded(
                [dependency.name], among: agentNames.merging(processNames) { $1 },
                what: processNames.isEmpty ? "agent" : "agent or process",
                known: groups + declarations.processes.map(\.key),
                help: "agents start after every server, branch and topic proxy by themselves"
            ).filter { seen.insert($0).inserted }
                .map { Dependency(name: $0, condition: dependency.condition) }
        }
    }

    /// The groups, each with its members in the order in which they start.
    func resolvedGroups(orderOfStart: () -> [String]) -> [ProcessGroup] {
        guard !declarations.processGroups.isEmpty else { return [] }
        let order = orderOfStart()
        var memberOf: [String: String] = [:]
        return declarations.processGroups.compactMap { entry in
            guard let group = entry.value else { return nil }
            let members = expanded(
                group.members, among: agentNames.merging(processNames) { $1 },
                what: processNames.isEmpty ? "agent" : "agent or process",
                known: groups + declarations.processes.map(\.key))
            for reference in group.members {
                let names =
                    (agentNames[reference.value] ?? []) + (processNames[reference.value] ?? [])
                if let other = names.compactMap({ memberOf[$0] }).first {
                    diagnostics.error(
                        "\(Diagnostic.quote(reference.value)) is in the group "
                            + "\(Diagnostic.quote(other)) already", at: reference.location,
                        help: "a process is in one group at most")
                }
            }
            for member in members { memberOf[member] = entry.key }
            let listed = Set(members)
            return ProcessGroup(
                name: entry.key, strategy: group.strategy ?? .oneForOne,
                members: order.filter { listed.contains($0) },
                maximumRestarts: group.maximumRestarts, period: group.period)
        }
    }
}
