internal import JSON
internal import Wire
internal import YAML

extension Resolver {
    /// The server that a part names, or the only one that there is.
    private func server(_ reference: Located<String>?, of part: String, at location: Location)
        -> String?
    {
        let names = declarations.servers.map(\.key)
        guard let reference else {
            if names.count > 1 {
                diagnostics.error(
                    "\(part) does not say which NATS server it uses", at: location,
                    help: "add one of: " + names.map { "'nats: \($0)'" }.joined(separator: ", "))
            }
            return names.first
        }
        if names.contains(reference.value) { return reference.value }
        unknown("NATS server", reference, among: names)
        return nil
    }

    /// Reports a name that stands for nothing, or for something of another kind.
    ///
    /// - Parameters:
    ///   - what: what it should be: `branch`
    ///   - reference: the name and where it stands
    ///   - names: the names that it could be
    ///   - help: what to do where it is another part's name
    func unknown(
        _ what: String, _ reference: Located<String>, among names: [String], help: String? = nil
    ) {
        if let part = parts[reference.value] {
            diagnostics.error(
                "\(Diagnostic.quote(reference.value)) is \(Self.article(part.what)), "
                    + "not \(Self.article(what))",
                at: reference.location,
                help: help ?? (names.isEmpty ? nil : "known here: " + Self.list(names)))
            return
        }
        guard names.isEmpty else {
            diagnostics.unknown(what, reference.value, at: reference.location, among: names)
            return
        }
        diagnostics.error(
            "unknown \(what) \(Diagnostic.quote(reference.value))", at: reference.location,
            help: help ?? "the topology declares no other \(what)")
    }

    /// Names in quotes, as many as one line takes.
    static func list(_ names: [String]) -> String {
        names.prefix(12).map { Diagnostic.quote($0) }.joined(separator: ", ")
            + (names.count > 12 ? ", …" : "")
    }

    func resolvedBranches() -> [Branch] {
        let names = Set(declarations.branches.map(\.key))
        var links: [String: Set<String>] = [:]
        for entry in declarations.branches {
            for link in entry.value?.links ?? [] {
                if link.value == entry.key {
                    diagnostics.error(
                        "branch \(Diagnostic.quote(entry.key)) is linked to itself",
                        at: link.location, help: "remove the link")
                } else if names.contains(link.value) {
                    links[entry.key, default: []].insert(link.value)
                    links[link.value, default: []].insert(entry.key)
                } else {
                    unknown("branch", link, among: names.subtracting([entry.key]).sorted())
                }
            }
        }
        return declarations.branches.compactMap { entry in
            guard let branch = entry.value else { return nil }
            let provider = provider(of: branch, entry)
            return Branch(
                name: entry.key, endpoint: branch.connect?.value ?? branch.endpoint?.value,
                provider: provider,
                links: links[entry.key, default: []].sorted(),
                server: server(
                    branch.server, of: "branch \(Diagnostic.quote(entry.key))",
                    at: entry.location),
                routingReport: branch.routingReport, queueMessages: branch.queueMessages,
                queueBytes: branch.queueBytes, queueOverflow: branch.overflow,
                stallTimeout: branch.stallTimeout, peerTimeout: branch.peerTimeout,
                restart: branch.restart, location: entry.location)
        }
    }

    func resolvedTopicProxies() -> [TopicProxy] {
        var ancestors: [String: String] = [:]
        for entry in declarations.topicProxies {
            for prefix in entry.value?.prefixes ?? [] where checkTopic(prefix) {
                let roots = Self.roots(of: prefix.value)
                if let other = roots.first(where: { prefixes[$0] != nil })
                    ?? ancestors[prefix.value], let owner = prefixes[other]
                {
                    diagnostics.error(
                        "the prefix \(Diagnostic.quote(prefix.value)) overlaps "
                            + "\(Diagnostic.quote(other)) of topic proxy "
                            + Diagnostic.quote(owner.proxy),
                        at: prefix.location,
                        help: "line \(owner.location.line) has the other: "
                            + "a topic belongs to one prefix")
                }
                for root in roots { ancestors[root] = ancestors[root] ?? prefix.value }
                prefixes[prefix.value] =
                    prefixes[prefix.value] ?? (proxy: entry.key, location: prefix.location)
            }
        }
        return declarations.topicProxies.compactMap { entry in
            guard let proxy = entry.value else { return nil }
            let provider = provider(of: proxy, entry)
            return TopicProxy(
                name: entry.key, publish: (proxy.connect?.publish ?? proxy.publish)?.value,
                subscribe: (proxy.connect?.subscribe ?? proxy.subscribe)?.value,
                provider: provider, prefixes: proxy.prefixes.map(\.value),
                server: server(
                    proxy.server, of: "topic proxy \(Diagnostic.quote(entry.key))",
                    at: entry.location),
                queueMessages: proxy.queue?.messages ?? 100_000,
                queueBytes: proxy.queue?.bytes ?? 16_777_216,
                queueOverflow: proxy.queue?.overflow?.value
                    ?? (provider.isForeign ? .dropNewest : .pause),
                stallTimeout: proxy.stallTimeout, peerTimeout: proxy.peerTimeout,
                restart: proxy.restart, location: entry.location)
        }
    }

    /// Whether a topic is legal on every wire; reports it where not.
    func checkTopic(_ topic: Located<String>) -> Bool {
        if Names.isLegalTopic(topic.value) { return true }
        let root = topic.value.prefix { $0 != "." }
        diagnostics.error(
            "\(Diagnostic.quote(topic.value)) is not legal as a topic", at: topic.location,
            help: root == "agent" || root == "shadow"
                ? "topics under '\(root)' are synmesh's own"
                : "a topic is names joined by dots, such as tot.branch_A, "
                    + "\(Names.topicLengthMax) characters at most, without wildcards")
        return false
    }

    /// A topic and everything that it is under: `a.b.c`, `a.b`, `a`.
    static func roots(of topic: String) -> [String] {
        var roots: [String] = []
        var rest = topic[...]
        while true {
            roots.append(String(rest))
            guard let dot = rest.lastIndex(of: ".") else { return roots }
            rest = rest[..<dot]
        }
    }

    /// Reports a topic that no proxy would carry.
    func checkIsServed(_ topic: Located<String>) {
        guard checkTopic(topic),
            !Self.roots(of: topic.value).contains(where: { prefixes[$0] != nil })
        else { return }
        guard !diagnostics.isFull else { return diagnostics.error("", at: topic.location) }
        let known = prefixes.keys.sorted()
        let root = String(topic.value.prefix { $0 != "." })
        let help: String
        if let meant = Suggestion.nearest(to: root, among: known) {
            help = "did you mean \(Diagnostic.quote(meant + topic.value.dropFirst(root.count)))?"
        } else if known.isEmpty {
            help = "declare one: 'topic_proxies: {topics: {prefixes: [\(root)]}}'"
        } else {
            help = "the prefixes are " + known.prefix(12).joined(separator: ", ")
        }
        diagnostics.error(
            "the topic \(Diagnostic.quote(topic.value)) is under no topic proxy's prefix",
            at: topic.location, help: help)
    }

    func checkEndpoints() {
        var sockets: [(endpoint: Located<Endpoint>, part: String, isBound: Bool)] = []
        func add(_ endpoint: Located<Endpoint>?, _ part: String, isBound: Bool) {
            if let endpoint { sockets.append((endpoint, part, isBound)) }
        }
        for entry in declarations.branches {
            let part = "branch \(Diagnostic.quote(entry.key))"
            add(entry.value?.endpoint, part, isBound: true)
            add(entry.value?.connect, part, isBound: false)
        }
        for entry in declarations.topicProxies {
            let part = "topic proxy \(Diagnostic.quote(entry.key))"
            add(entry.value?.publish, part, isBound: true)
            add(entry.value?.subscribe, part, isBound: true)
            add(entry.value?.connect?.publish, part, isBound: false)
            add(entry.value?.connect?.subscribe, part, isBound: false)
        }
        for (index, (endpoint, _, isBound)) in sockets.enumerated() {
            checkPath(endpoint)
            let first = sockets[..<index].first {
                $0.endpoint.value.collides(with: endpoint.value)
            }
            guard let first else { continue }
            let line = "line \(first.endpoint.location.line) has the other"
            if isBound, first.isBound {
                diagnostics.error(
                    "this endpoint is bound by \(first.part) too", at: endpoint.location,
                    help: "\(line): choose another, or leave it out and let the system choose")
            } else {
                diagnostics.error(
                    "this endpoint is also that of \(first.part)", at: endpoint.location,
                    help: "\(line): every socket of a proxy has an endpoint of its own")
            }
        }
    }

    private func checkPath(_ endpoint: Located<Endpoint>) {
        let folder = facts.runtimeDirectoryByteCount
        guard
            let count = endpoint.value.pathByteCount(runtimeDirectoryByteCount: folder),
            count > Endpoint.pathByteCountMax
        else { return }
        let isRelative =
            if case .ipc(let path) = endpoint.value { path.first != "/" } else { false }
        diagnostics.error(
            "the socket's path has \(count) bytes, Linux allows \(Endpoint.pathByteCountMax)",
            at: endpoint.location,
            help: isRelative
                ? "the run's folder takes \(folder + 1) of them: choose a shorter name"
                : "a relative path is in the run's folder: ipc://name")
    }

    func resolvedPools() -> [Pool] {
        var needed = 0
        var isReported = false
        return declarations.pools.compactMap { entry in
            guard let value = entry.value, let size = value.size, let slots = value.slots else {
                return nil
            }
            let pool = Pool(
                name: entry.key, size: size, slots: slots, checksum: value.checksum,
                lease: value.lease, wait: value.wait, whenFull: value.whenFull,
                location: entry.location)
            // Clamped: a sum this large is reported, and only has to stay so.
            needed = min(needed + pool.byteCount, 1 << 60)
            if let free = facts.freeSharedMemory, needed > free, !isReported {
                isReported = true
                let isFirst = needed == pool.byteCount
                diagnostics.error(
                    "the pool \(Diagnostic.quote(entry.key)) needs "
                        + "\(Self.bytes(pool.byteCount)) of shared memory, "
                        + "\(Self.bytes(max(0, free - (needed - pool.byteCount)))) are "
                        + (isFirst ? "free" : "left by the pools before it"),
                    at: entry.location,
                    help: "use smaller or fewer slots, or mount a larger /dev/shm")
            }
            return pool
        }
    }

    /// Reports a setting that names no pool, and remembers the pool as used.
    func checkIsPool(_ pool: Located<String>) {
        let names = declarations.pools.map(\.key)
        guard !names.contains(pool.value) else {
            usedPools.insert(pool.value)
            return
        }
        unknown(
            "pool", pool, among: names,
            help: names.isEmpty
                ? "declare it: 'pools: {\(pool.value): {size: 100MB, slots: 4}}'" : nil)
    }

    /// Reports an agent whose pool no cloud can go to that is large enough for it.
    func checkThreshold(of settings: Value, at location: Location) {
        guard let name = settings["pool"]?.string,
            let size = declarations.pools.first(where: { $0.key == name })?.value?.size
        else { return }
        let threshold = settings["threshold"]?.integer.map { Int($0) } ?? AgentKind.threshold
        guard threshold > size else { return }
        diagnostics.error(
            "only clouds of \(Self.bytes(threshold)) and more go to the pool "
                + "\(Diagnostic.quote(name)), whose slots have \(Self.bytes(size))", at: location,
            help: "lower the setting 'threshold', or raise the 'size' of the pool")
    }

    /// Warns of pools that take memory and that nobody can write to.
    ///
    /// The settings of a `command` are its own affair: with one, nothing is said.
    func checkPoolsAreUsed() {
        let commands = declarations.agents.contains { $0.value?.kindKey == nil }
        guard !commands, !diagnostics.hasErrors else { return }
        for entry in declarations.pools where !usedPools.contains(entry.key) {
            diagnostics.warning(
                "no agent writes to the pool \(Diagnostic.quote(entry.key))", at: entry.location,
                help: "give an agent that sends clouds 'settings: {pool: \(entry.key)}', "
                    + "or remove the pool")
        }
    }

    /// A number of bytes as people read it.
    private static func bytes(_ count: Int) -> String {
        let units = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)]
        guard let (unit, factor) = units.first(where: { count >= $0.1 }) else {
            return "\(count) bytes"
        }
        let tenths = count / (factor / 10)
        return tenths % 10 == 0
            ? "\(tenths / 10) \(unit)" : "\(tenths / 10).\(tenths % 10) \(unit)"
    }
}
