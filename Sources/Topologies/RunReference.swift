internal import YAML

/// A reference to what is known only when the mesh runs: `${ports.main}`.
public enum RunReference: Sendable, Hashable {
    /// `${ports.SERVER}`: the port that a NATS server listens on.
    case port(server: String)
    /// `${urls.SERVER}`: where a NATS server is, such as `nats://127.0.0.1:41817`.
    case url(server: String)
    /// `${endpoints.BRANCH}`: where a branch's proxy takes agents.
    case branch(String)
    /// `${endpoints.PROXY.publish}`, `${endpoints.PROXY.subscribe}`: where a topic proxy does.
    case topicProxy(String, socket: String)

    /// How the names of such references begin.
    static let prefixes = ["ports.", "urls.", "endpoints."]

    /// The text between the braces; `nil` where it is none of the forms.
    init?(_ text: some StringProtocol) {
        let parts = String(text).split(separator: Character("."), omittingEmptySubsequences: false)
            .map(String.init)
        switch (parts.first, parts.count) {
        case ("ports", 2): self = .port(server: parts[1])
        case ("urls", 2): self = .url(server: parts[1])
        case ("endpoints", 2): self = .branch(parts[1])
        case ("endpoints", 3) where ["publish", "subscribe"].contains(parts[2]):
            self = .topicProxy(parts[1], socket: parts[2])
        default: return nil
        }
    }

    /// A text with each reference replaced by what it stands for.
    ///
    /// - Parameters:
    ///   - text: the text
    ///   - value: what a reference stands for; `nil` leaves it there
    /// - Returns: the text without references
    public static func resolved(
        _ text: String, _ value: (RunReference) -> String?
    ) -> String {
        guard text.contains("${") else { return text }
        var result = ""
        var rest = text[...]
        while let found = first(in: rest) {
            result += rest[..<found.range.lowerBound]
            result += RunReference(found.inner).flatMap(value) ?? String(rest[found.range])
            rest = rest[found.range.upperBound...]
        }
        return result + rest
    }

    /// The first text that begins as a reference does, with what stands between its braces.
    static func first(
        in text: Substring
    ) -> (range: Range<String.Index>, inner: Substring)? {
        var start = text.startIndex
        while let open = text[start...].firstIndex(of: "$") {
            start = text.index(after: open)
            guard text[start...].first == "{", let close = text[start...].firstIndex(of: "}")
            else { continue }
            let inner = text[text.index(after: start)..<close]
            guard prefixes.contains(where: { inner.hasPrefix($0) }) else { continue }
            return (open..<text.index(after: close), inner)
        }
        return nil
    }
}

extension Resolver {
    /// Reports references to parts that do not exist, and such as stand where nothing replaces them.
    func checkRunReferences(in root: Node) {
        check(root, path: [])
    }

    private func check(_ node: Node, path: [String]) {
        switch node.content {
        case .mapping(let entries):
            for entry in entries { check(entry.value, path: path + [entry.key]) }
        case .sequence(let elements):
            for element in elements { check(element, path: path) }
        case .scalar(.string(let text), _):
            var rest = text[...]
            while let found = RunReference.first(in: rest) {
                check(found.inner, at: node.location, path: path)
                rest = rest[found.range.upperBound...]
            }
        case .scalar, .invalid: break
        }
    }

    private func check(_ inner: Substring, at location: Location, path: [String]) {
        let isHeeded =
            path.count > 2
            && (path[0] == "agents"
                && ["command", "environment", "settings", "transports"].contains(path[2])
                || path[0] == "processes" && ["command", "environment"].contains(path[2]))
        guard isHeeded else {
            diagnostics.error(
                "'${\(inner)}' is known only when the mesh runs", at: location,
                help:
                    "it may stand in the command and environment of agents and processes, and in the "
                    + "settings of agents")
            return
        }
        func require(_ name: String, _ what: String, among names: [String]) {
            guard !names.contains(name) else { return }
            diagnostics.unknown(what, name, at: location, among: names)
        }
        switch RunReference(inner) {
        case .port(let name), .url(let name):
            require(name, "NATS server", among: declarations.servers.map(\.key))
        case .branch(let name): require(name, "branch", among: declarations.branches.map(\.key))
        case .topicProxy(let name, _):
            require(name, "topic proxy", among: declarations.topicProxies.map(\.key))
        case nil:
            diagnostics.error(
                "\(Diagnostic.quote("${\(inner)}")) is no reference", at: location,
                help: "'${ports.SERVER}', '${urls.SERVER}', '${endpoints.BRANCH}', "
                    + "'${endpoints.TOPIC_PROXY.publish}' or '….subscribe'")
        }
    }
}
