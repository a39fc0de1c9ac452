internal import JSON
internal import YAML

/// Reads the settings of a built-in agent by the declarations of its kind.
struct SettingsReader {
    let resolver: Resolver

    /// The settings as the agent gets them; `nil` after a report that they are no mapping.
    func read(_ kind: AgentKind, _ node: Node) -> Value? {
        let reading = Reading<Value>.mapping { reader in
            for group in kind.exclusive {
                let given = group.filter { reader.contains($0) }
                guard given.count > 1, let location = reader.keyLocation(of: given[1]) else {
                    continue
                }
                reader.diagnostics.error(
                    "'\(given[0])' and '\(given[1])' exclude each other", at: location,
                    help: "remove one of them")
            }
            return object(kind.settings, reader)
        }
        return reading.read(node, reportingTo: resolver.diagnostics)
    }

    private func object(_ settings: [AgentKind.Setting], _ reader: MappingReader) -> Value {
        var members: [String: Value] = [:]
        for setting in settings {
            members[setting.name] =
                setting.isRequired
                ? reader.required(
                    setting.name, reading(setting.shape), example: setting.example)
                : reader.optional(setting.name, reading(setting.shape))
        }
        return .object(members)
    }

    private func reading(_ shape: AgentKind.Shape) -> Reading<Value> {
        switch shape {
        case .agents:
            return Reading<[Located<String>]>.listOrOne(of: .located(.string)).map { [resolver] in
                Self.list(resolver.expanded($0))
            }
        case .senders:
            return Reading<[Located<String>]>.listOrOne(of: .located(.string)).map {
                [resolver] names in
                for name in names { resolver.checkIsNobody(name) }
                return Self.list(names.map(\.value))
            }
        case .publishedTopics, .subscribedTopics:
            return Reading<[Located<String>]>.listOrOne(of: .located(.string)).map {
                [resolver] topics in
                for topic in topics { resolver.checkIsServed(topic) }
                return Self.list(topics.map(\.value))
            }
        case .pool:
            return Reading<Located<String>>.located(.string).map { [resolver] pool in
                resolver.checkIsPool(pool)
                return .string(pool.value)
            }
        case .byteSize(let range): return Reading<Int>.byteSize(in: range).map { Value($0) }
        case .integer(let range): return Reading<Int>.integer(in: range).map { Value($0) }
        case .number(let range): return Reading<Double>.number(in: range).map { .double($0) }
        case .duration: return Reading<Duration>.duration().map { .double($0 / .seconds(1)) }
        case .flag: return Reading<Bool>.bool.map { .bool($0) }
        case .text: return Reading<String>.string.map { .string($0) }
        case .texts: return Reading<[String]>.listOrOne(of: .string).map { Self.list($0) }
        case .file: return file
        case .choice(let words):
            return Reading<String>.enumeration("value", among: words).map { .string($0) }
        case .object(let settings): return .mapping { object(settings, $0) }
        }
    }

    private var file: Reading<Value> {
        let (directory, facts) = (resolver.directory, resolver.facts)
        func path(_ text: String) -> String {
            text.hasPrefix("/") ? text : directory + "/" + text
        }
        return Reading<String>.nonemptyText.checked { text in
            facts.isFile(path(text))
                ? nil
                : Complaint(
                    "there is no file \(Diagnostic.quote(path(text)))",
                    help: "paths start from the folder of the topology")
        }.map { .string(path($0)) }
    }

    private static func list(_ names: [String]) -> Value { .array(names.map { .string($0) }) }
}
