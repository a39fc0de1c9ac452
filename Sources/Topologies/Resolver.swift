internal import Wire
internal import YAML

/// Turns declarations into a topology: checks names, resolves references, expands replicas.
final class Resolver {
    /// How many agents a topology may have, replicas included.
    static let agentCountMax = 2_000

    let declarations: Declarations
    let source: Source
    let root: Node
    /// Whether the file alone would say something else.
    let isAdjusted: Bool
    let directory: String
    let facts: MachineFacts
    let diagnostics: Diagnostics

    /// What each name of the topology stands for, and where it is declared.
    var parts: [String: (what: String, location: Location)] = [:]
    /// The names of the agents that each name of an agent or a group means.
    var agentNames: [String: [String]] = [:]
    /// The same of helper processes.
    var processNames: [String: [String]] = [:]
    /// The agents as the file calls them.
    private(set) lazy var groups = declarations.agents.map(\.key)
    var servers: [NATSServer] = []
    var branches: [Branch] = []
    var topicProxies: [TopicProxy] = []
    /// The pools that a setting names.
    var usedPools: Set<String> = []
    /// The topic proxy of each prefix.
    var prefixes: [String: (proxy: String, location: Location)] = [:]

    init(
        _ declarations: Declarations, source: Source, root: Node, isAdjusted: Bool,
        directory: String,
        facts: MachineFacts, diagnostics: Diagnostics
    ) {
        self.declarations = declarations
        self.source = source
        self.root = root
        self.isAdjusted = isAdjusted
        self.directory = directory
        self.facts = facts
        self.diagnostics = diagnostics
    }

    /// The topology; worth something only where no error was reported.
    func topology() -> Topology {
        let name = topologyName()
        declareNames()
        servers = declarations.servers.compactMap { entry in
            entry.value.map {
                NATSServer(
                    name: entry.key, maximumPayload: $0.maximumPayload,
                    isChunking: $0.isChunking,
                    executable: $0.executable, restart: $0.restart, location: entry.location)
            }
        }
        branches = resolvedBranches()
        topicProxies = resolvedTopicProxies()
        checkEndpoints()
        let pools = resolvedPools()
        let agents = resolvedAgents()
        let processes = resolvedProcesses()
        checkRunReferences(in: root)
        checkDependencyCycles()
        let dependencies = Dictionary(
            processes.map { ($0.name, $0.dependencies) }
                + agents.map { ($0.name, $0.dependencies) }, uniquingKeysWith: { first, _ in first }
        )
        let groups = resolvedGroups {
            Topology.levels(of: processes.map(\.name) + agents.map(\.name), dependencies)
                .flatMap(\.self)
        }
        checkForeignBorders(agents)
        checkForeignNeighbours(agents)
        checkDelivery(agents)
        let blindSpots = blindSpots(agents)
        checkPoolsAreUsed()
        return Topology(
            name: name, source: source, rendered: root.rendered, isAdjusted: isAdjusted,
            directory: directory,
            servers: servers,
            branches: branches, topicProxies: topicProxies, pools: pools, agents: agents,
            processes: processes, groups: groups,
            historyLimit: declarations.historyLimit, blindSpots: blindSpots)
    }
}
