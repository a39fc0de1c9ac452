internal import JSON
internal import Wire
internal import YAML

extension Resolver {
    /// The agents, one for each replica.
    func resolvedAgents() -> [Agent] {
        if declarations.branches.isEmpty, let location = declarations.agentsLocation,
            !declarations.agents.isEmpty
        {
            diagnostics.error(
                "there is no branch for the agents to attach to", at: location,
                help: "declare one: 'branches: {core: {}}'")
        }
        return declarations.agents.flatMap { entry in
            entry.value.map { resolved($0, entry) } ?? []
        }
    }

    private func resolved(_ agent: Declarations.Agent, _ entry: Keyed<Declarations.Agent>)
        -> [Agent]
    {
        let kind = kind(of: agent)
        checkProgram(of: agent, entry)
        let branch = branch(of: agent, entry)
        let transport = agent.transport?.value ?? .zmq
        let home = branches.first { $0.name == branch }
        let isForeign = home?.provider.isForeign ?? false
        // All that a proxy of the user's own passes on is the seed's wire.
        let wire = agent.wire?.value ?? (isForeign ? .json : .frames)
        if wire == .json, let location = agent.wire?.location, agent.kindKey != nil {
            diagnostics.error(
                "a built-in agent speaks frames only", at: location,
                help: "remove 'wire': json is for commands that speak the seed's single frame")
        }
        checkContract(of: agent, wire: agent.wire?.value ?? .frames)
        if isForeign { checkForeignHome(of: agent, branch ?? "") }
        checkBatch(of: agent, wire: wire)
        checkAcknowledges(of: agent)
        let isFull = kind != nil || agent.contract?.value == .full
        if transport == .nats, let home, home.server == nil, declarations.servers.isEmpty {
            diagnostics.error(
                "the agent \(Diagnostic.quote(entry.key)) starts on nats, but there is no "
                    + "NATS server",
                at: agent.transport?.location ?? entry.location,
                help: "declare one: 'nats: {main: {}}'")
        }
        let settings = settings(of: agent, kind)
        let dependencies = dependencies(agent.dependencies)
        checkUpkeep(of: agent)
        let launches = launches(of: agent, kind, isFull: isFull)
        let answers = answers(of: agent)
        return agentNames[entry.key, default: []].map { name in
            Agent(
                name: name, group: entry.key, kind: kind?.name, branch: branch ?? "",
                transport: transport, wire: wire, contract: isFull ? .full : .wire,
                keepsHistory: kind != nil || agent.history?.value == .own,
                batch: agent.batch?.value, delivery: agent.delivery?.value ?? .atMostOnce,
                acknowledges: !isForeign && (kind != nil || agent.acknowledges?.value == true),
                sideEffects: agent.sideEffects, answers: answers, sending: agent.sending,
                settings: settings,
                dependencies: dependencies, restart: agent.restart,
                upkeep: resolved(agent.upkeep),
                location: entry.location, isBehindForeignProxy: isForeign,
                deliveryLocation: agent.delivery?.location, launches: launches)
        }
    }

    private func kind(of agent: Declarations.Agent) -> AgentKind? {
        guard let name = agent.kind else { return nil }
        if let kind = AgentKind.all.first(where: { $0.name == name.value }) { return kind }
        diagnostics.unknown(
            "kind of agent", name.value, at: name.location, among: AgentKind.all.map(\.name))
        return nil
    }

    /// Checks that there is exactly one program to start, at least on the first transport.
    private func checkProgram(
        of agent: Declarations.Agent, _ entry: Keyed<Declarations.Agent>
    ) {
        let commands = Transport.allCases.compactMap { agent.perTransport[$0]?.command }
        if agent.kindKey != nil {
            for location in [agent.commandKey].compactMap({ $0 }) + commands.map(\.location) {
                diagnostics.error(
                    "an agent has a 'kind' or a 'command', not both", at: location,
                    help: "remove one: a kind is a program of synmesh's own")
            }
            return
        }
        guard agent.commandKey == nil else { return }
        let transport = agent.transport?.value ?? .zmq
        if commands.isEmpty {
            diagnostics.error(
                "the agent \(Diagnostic.quote(entry.key)) has neither 'kind' nor 'command'",
                at: entry.location, help: "add 'kind: probe' or 'command: [./agent]'")
        } else if agent.perTransport[transport]?.command == nil {
            diagnostics.error(
                "the agent \(Diagnostic.quote(entry.key)) starts on \(transport.rawValue), "
                    + "but has no command for it",
                at: agent.transport?.location ?? entry.location,
                help: "add a 'command' for every transport, or "
                    + "'transports: {\(transport.rawValue): {command: [./agent]}}'")
        }
    }

    /// Checks what a command says of the contract that it keeps; a kind keeps all of it.
    private func checkContract(of agent: Declarations.Agent, wire: AgentWire) {
        guard agent.kindKey == nil else {
            for location in [agent.contract?.location, agent.history?.location] {
                guard let location else { continue }
                diagnostics.error(
                    "a built-in agent keeps the whole contract, and a history", at: location,
                    help: "remove the key: it is for commands")
            }
            return
        }
        if let contract = agent.contract, contract.value == .full, wire == .json {
            diagnostics.error(
                "the full contract speaks frames", at: contract.location,
                help: "remove 'wire: json', or the contract")
        }
        if let history = agent.history, history.value == .own, agent.contract?.value != .full {
            diagnostics.error(
                "only a command with 'contract: full' can keep a history", at: history.location,
                help: "remove it: the mesh records what passes")
        }
    }

    private func branch(
        of agent: Declarations.Agent, _ entry: Keyed<Declarations.Agent>
    ) -> String? {
        let names = declarations.branches.map(\.key)
        guard let branch = agent.branch else {
            if names.count > 1 {
                diagnostics.error(
                    "the agent \(Diagnostic.quote(entry.key)) does not say its branch",
                    at: entry.location,
                    help: "add one of: "
                        + names.prefix(12).map { "'branch: \($0)'" }.joined(separator: ", "))
            }
            return names.first
        }
        if names.contains(branch.value) { return branch.value }
        // Without any branch, one report at the top says it for all agents.
        if !names.isEmpty { unknown("branch", branch, among: names) }
        return nil
    }

    /// Where there is no `settings` at all, nothing else says what is missing in it.
    private func reportRequiredSettings(of agent: Declarations.Agent, _ kind: AgentKind?) {
        guard let kind, let location = agent.kind?.location,
            let setting = kind.settings.first(where: \.isRequired)
        else { return }
        let example = setting.example.map { ": \($0)" } ?? ""
        diagnostics.error(
            "the kind \(Diagnostic.quote(kind.name)) needs the setting "
                + Diagnostic.quote(setting.name),
            at: location, help: "add 'settings: { \(setting.name)\(example) }'")
    }

    private func settings(of agent: Declarations.Agent, _ kind: AgentKind?) -> Value {
        guard let node = agent.settings else {
            reportRequiredSettings(of: agent, kind)
            return .object([:])
        }
        if let kind {
            let settings = SettingsReader(resolver: self).read(kind, node) ?? .object([:])
            checkThreshold(of: settings, at: node.location)
            return settings
        }
        // The settings of a kind that is not known say nothing wrong.
        guard agent.kindKey == nil else { return .object([:]) }
        let entries = Reading<[Keyed<Value>]>.dictionary(of: .json)
            .read(node, reportingTo: diagnostics)
        var members: [String: Value] = [:]
        for entry in entries ?? [] { members[entry.key] = entry.value }
        return .object(members)
    }

    /// A kind says for itself when it is ready, and runs where the run is.
    private func checkUpkeep(of agent: Declarations.Agent) {
        guard agent.kindKey != nil else { return }
        for (key, location) in agent.upkeepKeys {
            diagnostics.error(
                "'\(key)' is for commands", at: location,
                help: "remove it: a built-in agent says by itself when it is ready")
        }
    }

    /// The agents that references mean, each once, in the order of the references.
    ///
    /// - Parameters:
    ///   - references: names of agents, replicas and groups
    ///   - help: what to do where one is another part's name
    /// - Returns: the names of agents; those that do not exist are reported
    func expanded(_ references: [Located<String>], help: String? = nil) -> [String] {
        expanded(references, among: agentNames, what: "agent", known: groups, help: help)
    }

    /// The same of any parts, which `meanings` has by their names and their groups' names.
    func expanded(
        _ references: [Located<String>], among meanings: [String: [String]], what: String,
        known: [String], help: String? = nil
    ) -> [String] {
        var seen: Set<String> = []
        var names: [String] = []
        for reference in references where seen.insert(reference.value).inserted {
            guard let meant = meanings[reference.value] else {
                if !reportReplica(reference, among: meanings) {
                    unknown(what, reference, among: known, help: help)
                }
                continue
            }
            names += meant.count == 1 ? meant : meant.filter { seen.insert($0).inserted }
        }
        return names
    }

    /// Reports a replica whose number does not exist; `false` where the name is no replica's.
    private func reportReplica(
        _ reference: Located<String>, among meanings: [String: [String]]
    ) -> Bool {
        guard let dash = reference.value.lastIndex(of: "-"), parts[reference.value] == nil,
            Int(reference.value[dash...].dropFirst()) != nil
        else { return false }
        let group = String(reference.value[..<dash])
        guard let names = meanings[group], names.first != group, let last = names.last else {
            return false
        }
        diagnostics.error(
            "there is no replica \(Diagnostic.quote(reference.value))", at: reference.location,
            help: "the replicas of '\(group)' end with '\(last)'; '\(group)' means all of them")
        return true
    }

    private func answers(of agent: Declarations.Agent) -> [AnswerRule] {
        if let location = agent.answersKey, agent.kindKey != nil {
            diagnostics.error(
                "what a built-in agent answers is judged by its own history", at: location,
                help: "remove 'answers': it is for commands")
            return []
        }
        return agent.answers.compactMap { entry in
            guard let type = entry.value?.type else { return nil }
            for (name, location) in [(entry.key, entry.location), (type.value, type.location)]
            where !Names.isLegal(name) {
                diagnostics.error(
                    "\(Diagnostic.quote(name)) is not legal as a message type on every wire",
                    at: location, help: "use letters, digits, '_' and '-'")
            }
            return AnswerRule(request: entry.key, answer: type.value, key: entry.value?.key)
        }
    }

    /// How an agent is started on each transport.
    ///
    /// Who does not keep the contract is not told its transport by anything that it must heed: it
    /// runs where it starts, and elsewhere only if its entry says how.
    private func launches(
        of agent: Declarations.Agent, _ kind: AgentKind?, isFull: Bool
    ) -> [Transport: Launch] {
        var launches: [Transport: Launch] = [:]
        let fromFiles = environment(from: agent.environmentFiles)
        for transport in Transport.allCases {
            let options = agent.perTransport[transport]
            if !isFull, options == nil, transport != agent.transport?.value ?? .zmq { continue }
            let environment = fromFiles.merging(agent.environment) { $1 }
                .merging(options?.environment ?? [:]) { $1 }
            if let kind {
                launches[transport] = Launch(
                    program: .builtIn(kind.executable), environment: environment)
            } else if let command = options?.command?.value ?? agent.command?.value {
                launches[transport] = Launch(
                    program: .command(command), environment: environment)
            }
        }
        return launches
    }

    /// What files of variables say; the later one wins.
    func environment(from files: [Located<String>]) -> [String: String] {
        var variables: [String: String] = [:]
        for file in files {
            let path = file.value.hasPrefix("/") ? file.value : "\(directory)/\(file.value)"
            let found = Diagnostics()
            for variable in EnvironmentFile.read(path, reportingTo: found) {
                guard !variable.name.hasPrefix("SYNMESH_") else {
                    found.error(
                        "\(Diagnostic.quote(variable.name)) is reserved", at: variable.location,
                        help: "synmesh sets the variables that start with SYNMESH_ itself")
                    continue
                }
                variables[variable.name] = variable.value
            }
            for diagnostic in found.all {
                // A file that cannot be read at all is a mistake of who names it.
                guard diagnostic.location == nil else {
                    diagnostics.report(diagnostic)
                    continue
                }
                diagnostics.error(
                    "\(Diagnostic.quote(file.value)): \(diagnostic.message)", at: file.location)
            }
        }
        return variables
    }
}
