internal import Wire
internal import YAML

extension Resolver {
    static let nameRule =
        "a name is a letter or digit, then letters, digits, '_' and '-', "
        + "\(Names.lengthMax) characters at most"

    func topologyName() -> String {
        if let name = declarations.name {
            checkName(name.value, at: name.location)
            return name.value
        }
        var base = source.name[...]
        if let slash = base.lastIndex(of: "/") { base = base[base.index(after: slash)...] }
        if let dot = base.lastIndex(of: "."), dot != base.startIndex { base = base[..<dot] }
        if !Names.isLegal(base) {
            diagnostics.report(
                Diagnostic(
                    source: source,
                    message: "the topology has no name, and its file's name is not legal as one",
                    help: "add 'name: …': " + Self.nameRule))
        }
        return String(base)
    }

    @discardableResult
    private func checkName(_ name: String, at location: Location) -> Bool {
        if Names.isLegal(name) { return true }
        diagnostics.error(
            "\(Diagnostic.quote(name)) is not legal as a name", at: location, help: Self.nameRule)
        return false
    }

    /// Reports a sender's name that is not legal, or that an agent has.
    func checkIsNobody(_ name: Located<String>) {
        guard checkName(name.value, at: name.location) else { return }
        if agentNames.values.contains(where: { $0.contains(name.value) }) {
            diagnostics.error(
                "\(Diagnostic.quote(name.value)) is an agent, which speaks for itself",
                at: name.location, help: "take a name that nobody has")
        }
    }

    /// All parts share one set of names: each is a file of logs, and a name in reports.
    func declareNames() {
        for entry in declarations.servers { declare(entry.key, "NATS server", entry.location) }
        for entry in declarations.branches { declare(entry.key, "branch", entry.location) }
        for entry in declarations.topicProxies {
            declare(entry.key, "topic proxy", entry.location)
        }
        // Beside each proxy of the user's own stands a process of ours.
        for entry in declarations.branches
        where entry.value?.command != nil || entry.value?.connect != nil {
            declare(entry.key + "-bridge", "bridge", entry.location)
        }
        for entry in declarations.topicProxies
        where entry.value?.command != nil || entry.value?.connect != nil {
            declare(entry.key + "-bridge", "bridge", entry.location)
        }
        for entry in declarations.pools { declare(entry.key, "pool", entry.location) }
        for entry in declarations.agents { declare(entry.key, "agent", entry.location) }

        for entry in declarations.processes { declare(entry.key, "process", entry.location) }
        for entry in declarations.processGroups { declare(entry.key, "group", entry.location) }

        var count = 0
        for entry in declarations.agents {
            guard
                let names = replicas(
                    of: entry.key, entry.location, entry.value?.replicas,
                    hasReplicas: entry.value?.hasReplicas ?? false, count: &count)
            else { break }
            agentNames[entry.key] = names
            for name in names { agentNames[name] = agentNames[name] ?? [name] }
        }
        for entry in declarations.processes {
            guard
                let names = replicas(
                    of: entry.key, entry.location, entry.value?.replicas,
                    hasReplicas: entry.value?.hasReplicas ?? false, count: &count)
            else { break }
            processNames[entry.key] = names
            for name in names { processNames[name] = processNames[name] ?? [name] }
        }
        if count > Self.agentCountMax {
            diagnostics.error(
                "the topology has more than \(Self.agentCountMax) agents"
                    + (declarations.processes.isEmpty ? "" : " and processes"),
                at: declarations.agentsLocation
                    ?? Location(source: source, line: 1, column: 1, length: 0))
        }
    }

    /// The names of one or all of several alike; `nil` where they are too many.
    private func replicas(
        of key: String, _ location: Location, _ replicas: Located<Int>?, hasReplicas: Bool,
        count: inout Int
    ) -> [String]? {
        guard hasReplicas else {
            count += 1
            return [key]
        }
        let number = replicas?.value ?? 1
        count += number
        guard count <= Self.agentCountMax else { return nil }
        let names = (1...number).map { "\(key)-\($0)" }
        let location = replicas?.location ?? location
        if let longest = names.last, Names.isLegal(key) { checkName(longest, at: location) }
        for name in names { declare(name, "replica", location, isLegalityKnown: true) }
        return names
    }

    private func declare(
        _ name: String, _ what: String, _ location: Location, isLegalityKnown: Bool = false
    ) {
        if !isLegalityKnown { checkName(name, at: location) }
        guard let first = parts[name] else {
            parts[name] = (what, location)
            return
        }
        diagnostics.error(
            "the \(what) \(Diagnostic.quote(name)) has the name of \(Self.article(first.what))",
            at: location,
            help: "line \(first.location.line) has the other: every part needs a name of its own")
    }

    /// `an agent`, `a branch`.
    static func article(_ noun: String) -> String {
        (noun.first.map { "aeiou".contains($0) } == true ? "an " : "a ") + noun
    }
}
