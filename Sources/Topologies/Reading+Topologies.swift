public import JSON
public import YAML

extension Reading where Value == JSON.Value {
    /// Anything, as JSON.
    public static var json: Reading<JSON.Value> {
        Reading("a value") { node, diagnostics in
            switch node.content {
            case .scalar(.null, _): return .null
            case .scalar(.bool(let truth), _): return .bool(truth)
            case .scalar(.integer(let number), _): return .integer(number)
            case .scalar(.string(let text), _): return .string(text)
            case .scalar(.float(let number), let text):
                guard number.isFinite else {
                    diagnostics.error(
                        "JSON has no \(Diagnostic.quote(text))", at: node.location,
                        help: "settings reach agents as JSON: write a number or null")
                    return nil
                }
                return .double(number)
            case .invalid: return nil
            case .sequence(let elements):
                return .array(
                    elements.compactMap {
                        Reading.json.read($0, reportingTo: diagnostics)
                    })
            case .mapping(let entries):
                var members: [String: JSON.Value] = [:]
                for entry in entries {
                    members[entry.key] = Reading.json.read(
                        entry.value, reportingTo: diagnostics)
                }
                return .object(members)
            }
        }
    }
}

extension Reading where Value == String {
    /// A text of at least one character.
    static var nonemptyText: Reading<String> {
        Reading.string.checked { $0.isEmpty ? Complaint("this text is empty") : nil }
    }
}

extension Reading where Value == [String] {
    /// A program with its arguments as a list, or one line for the shell.
    static var command: Reading<[String]> {
        let expected = "a command, such as [./agent, --quick]"
        return Reading(expected) { node, diagnostics in
            let words: [String]?
            switch node.content {
            case .scalar(.string, _):
                words = Reading<String>.nonemptyText.read(node, reportingTo: diagnostics).map {
                    ["/bin/sh", "-c", $0]
                }
            case .sequence:
                words = Reading.list(of: .scalarText).read(node, reportingTo: diagnostics)
            default:
                diagnostics.expected(expected, found: node)
                return nil
            }
            guard let words else { return nil }
            guard words.first?.isEmpty == false else {
                diagnostics.error(
                    "this command names no program", at: node.location,
                    help: "write the program and its arguments: [./agent, --quick]")
                return nil
            }
            return words
        }
    }
}

extension Reading where Value == Endpoint {
    /// Where a proxy binds.
    static var endpoint: Reading<Endpoint> {
        Reading("an endpoint", example: "tcp://127.0.0.1:*") { node, diagnostics in
            guard let text = Reading<String>.string.read(node, reportingTo: diagnostics) else {
                return nil
            }
            if let endpoint = Endpoint(text) { return endpoint }
            diagnostics.error(
                "\(Diagnostic.quote(text)) is no endpoint", at: node.location,
                help: text.hasPrefix("inproc:")
                    ? "parts are processes of their own, which inproc does not connect: use ipc"
                    : "write tcp://127.0.0.1:5555, tcp://127.0.0.1:* or ipc://name")
            return nil
        }
    }
}

extension Reading where Value == RestartPolicy {
    /// What happens when a process ends by itself.
    static var restartPolicy: Reading<RestartPolicy> {
        .mapping { restart in
            let standard = RestartPolicy()
            return RestartPolicy(
                condition: restart.required(
                    "policy",
                    .enumeration("restart policy", of: RestartPolicy.Condition.self),
                    example: RestartPolicy.Condition.onFailure.rawValue) ?? .never,
                backoff: restart.optional(
                    "backoff", .duration(in: .zero ... .seconds(3_600)),
                    default: standard.backoff),
                backoffMax: restart.optional(
                    "backoff_max", .duration(in: .zero ... .seconds(3_600)),
                    default: standard.backoffMax),
                jitter: restart.optional("jitter", .percentage(in: 0...100), default: 0) / 100,
                stable: restart.optional(
                    "stable", .duration(in: .zero ... .seconds(86_400)),
                    default: standard.stable),
                maximumRestarts: restart.optional(
                    "max_restarts", .integer(in: 0...1_000_000),
                    default: standard.maximumRestarts),
                period: restart.optional(
                    "period", .duration(in: .milliseconds(1) ... .seconds(86_400)),
                    default: standard.period))
        }
    }
}

extension Reading where Value == [String: String] {
    /// Variables of a process's environment.
    static var environment: Reading<[String: String]> {
        Reading("a mapping", example: "{}") { node, diagnostics in
            let entries = Reading<[Keyed<String>]>.dictionary(of: .scalarText)
                .read(node, reportingTo: diagnostics)
            var variables: [String: String] = [:]
            for entry in entries ?? [] {
                if !isVariable(entry.key) {
                    diagnostics.error(
                        "\(Diagnostic.quote(entry.key)) is no name of a variable",
                        at: entry.location,
                        help: "a letter or '_', then letters, digits and '_'")
                } else if entry.key.hasPrefix("SYNMESH_") {
                    diagnostics.error(
                        "\(Diagnostic.quote(entry.key)) is reserved", at: entry.location,
                        help: "synmesh sets the variables that start with SYNMESH_ itself")
                } else {
                    variables[entry.key] = entry.value
                }
            }
            return variables
        }
    }

    private static func isVariable(_ name: String) -> Bool {
        func isLetter(_ byte: UInt8) -> Bool {
            (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == 0x5F
        }
        guard let first = name.utf8.first, isLetter(first) else { return false }
        return name.utf8.allSatisfy { isLetter($0) || (0x30...0x39).contains($0) }
    }
}
