internal import YAML

extension Resolver {
    /// Reports agents that wait for each other, each circle once.
    ///
    /// All replicas of a group wait for the same agents, so circles of agents are circles of
    /// groups. Without recursion: a chain may be as long as the file.
    func checkDependencyCycles() {
        var group: [String: String] = [:]
        for entry in declarations.agents {
            for name in agentNames[entry.key, default: []] { group[name] = entry.key }
        }
        for entry in declarations.processes {
            for name in processNames[entry.key, default: []] { group[name] = entry.key }
        }
        let declared =
            declarations.agents.map { ($0.key, $0.value?.dependencies ?? []) }
            + declarations.processes.map { ($0.key, $0.value?.dependencies ?? []) }
        for (key, _) in declared { group[key] = key }

        var waitsFor: [String: [(group: String, location: Location)]] = [:]
        for (key, dependencies) in declared {
            waitsFor[key] = dependencies.compactMap { dependency in
                group[dependency.name.value].map { ($0, dependency.name.location) }
            }
        }
        let order = declared.map(\.0)
        let what = declarations.processes.isEmpty ? "agents" : "parts"
        var remaining = Self.unstartable(order, waitsFor)
        while let start = order.first(where: { remaining.contains($0) }) {
            let cycle = Self.cycle(from: start, within: remaining, waitsFor)
            guard let first = cycle.first else { return }
            let path = cycle.map(\.group) + [first.group]
            let shown = path.count > 12 ? path.prefix(10) + ["…", first.group] : path[...]
            diagnostics.error(
                "\(what) wait for each other: " + shown.joined(separator: " -> "),
                at: first.location, help: "remove one of these from 'depends_on'")
            // Without the reported ones, what waited for them only is no circle of its own.
            remaining.subtract(cycle.map(\.group))
            remaining = Self.unstartable(order.filter { remaining.contains($0) }, waitsFor)
        }
    }

    /// The groups that could never start; references to groups that are not listed do not count.
    private static func unstartable(
        _ groups: [String], _ waitsFor: [String: [(group: String, location: Location)]]
    ) -> Set<String> {
        var remaining = Set(groups)
        var openCount: [String: Int] = [:]
        var dependents: [String: [String]] = [:]
        for group in groups {
            let open = Set((waitsFor[group] ?? []).map(\.group)).intersection(remaining)
            openCount[group] = open.count
            for other in open { dependents[other, default: []].append(group) }
        }
        var startable = groups.filter { openCount[$0] == 0 }
        while let group = startable.popLast() {
            remaining.remove(group)
            for dependent in dependents[group] ?? [] {
                openCount[dependent, default: 0] -= 1
                if openCount[dependent] == 0 { startable.append(dependent) }
            }
        }
        return remaining
    }

    /// A circle that can be reached, each group with the place of its reference to the next.
    ///
    /// Every remaining group waits for one that remains, so the walk must come back.
    private static func cycle(
        from start: String, within remaining: Set<String>,
        _ waitsFor: [String: [(group: String, location: Location)]]
    ) -> [(group: String, location: Location)] {
        var path: [(group: String, location: Location)] = []
        var position: [String: Int] = [:]
        var current = start
        while position[current] == nil {
            guard let next = waitsFor[current]?.first(where: { remaining.contains($0.group) })
            else { return [] }
            position[current] = path.count
            path.append((current, next.location))
            current = next.group
        }
        return Array(path[(position[current] ?? 0)...])
    }
}
