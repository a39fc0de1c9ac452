internal import Glibc
internal import YAML

/// What the file says of processes, groups and probes.
extension Declarations {
    struct Dependency {
        let name: Located<String>
        let condition: Topologies.Dependency.Condition
    }

    struct HelperProcess {
        let command: [String]?
        let environment: [String: String]
        let environmentFiles: [Located<String>]
        let dependencies: [Dependency]
        let restart: RestartPolicy
        let upkeep: Upkeep
        let isEssential: Bool
        let replicas: Located<Int>?
        let hasReplicas: Bool
    }

    struct Group {
        let strategy: ProcessGroup.Strategy?
        let members: [Located<String>]
        let maximumRestarts: Int
        let period: Duration
    }

    static var helperProcess: Reading<HelperProcess> {
        .mapping { process in
            HelperProcess(
                command: process.required("command", .command, example: "[./database]"),
                environment: process.optional("environment", .environment, default: [:]),
                environmentFiles: process.optional("env_file", environmentFiles, default: []),
                dependencies: process.optional("depends_on", dependencies, default: []),
                restart: process.optional("restart", .restartPolicy, default: RestartPolicy()),
                upkeep: upkeep(process),
                isEssential: process.optional("essential", .bool, default: true),
                replicas: process.optional("replicas", .located(.integer(in: 1...1_000))),
                hasReplicas: process.contains("replicas"))
        }
    }

    static var environmentFiles: Reading<[Located<String>]> {
        .listOrOne(of: .located(.nonemptyText), count: 0...200)
    }

    static var group: Reading<Group> {
        .mapping { group in
            Group(
                strategy: group.required(
                    "strategy", .enumeration("strategy", of: ProcessGroup.Strategy.self),
                    example: "one_for_all"),
                members: group.required(
                    "members", .listOrOne(of: .located(.string), count: 1...2_000),
                    example: "[a, b]") ?? [],
                maximumRestarts: group.optional(
                    "max_restarts", .integer(in: 0...1_000_000), default: 5),
                period: group.optional(
                    "period", .duration(in: .milliseconds(1) ... .seconds(86_400)),
                    default: .seconds(60)))
        }
    }

    /// The keys that agents with a command and helper processes share.
    static func upkeep(_ reader: MappingReader) -> Upkeep {
        Upkeep(
            grace: reader.optional(
                "grace", .duration(in: .zero ... .seconds(3_600)), default: Upkeep.standard.grace),
            probes: reader.optional("probes", probes, default: []),
            workingDirectory: reader.optional("working_directory", .nonemptyText),
            limits: reader.optional("limits", limits, default: Upkeep.unlimited),
            log: reader.optional("log", logLimit) ?? nil)
    }

    private static var logLimit: Reading<Upkeep.LogLimit?> {
        .mapping { log in
            let kept = log.optional("keep", .integer(in: 0...100), default: 3)
            let size = log.required("max_size", .byteSize(in: 1_024...(1 << 50)), example: "50MB")
            return size.map { Upkeep.LogLimit(size: $0, kept: kept) }
        }
    }

    private static var limits: Reading<Upkeep.Limits> {
        .mapping { limits in
            Upkeep.Limits(
                memory: limits.optional("memory", .byteSize(in: 1_048_576...(1 << 50))),
                files: limits.optional("files", .integer(in: 3...1_000_000)),
                fileSize: limits.optional("file_size", .byteSize(in: 0...(1 << 50))),
                processorTime: limits.optional(
                    "cpu", .duration(in: .seconds(1) ... .seconds(7 * 86_400))),
                nice: limits.optional("nice", .integer(in: 0...19), default: 0))
        }
    }

    /// `[a, b]`, each of which must be ready, or `{a: started, b: completed}`.
    static var dependencies: Reading<[Dependency]> {
        let names = Reading<[Located<String>]>.listOrOne(of: .located(.string))
        let conditions = Reading<[Keyed<Topologies.Dependency.Condition>]>.dictionary(
            of: .enumeration("condition", of: Topologies.Dependency.Condition.self))
        return Reading(names.expected) { node, diagnostics in
            if case .mapping = node.content {
                return conditions.read(node, reportingTo: diagnostics)?.map {
                    Dependency(
                        name: Located($0.key, at: $0.location),
                        condition: $0.value ?? .ready)
                }
            }
            return names.read(node, reportingTo: diagnostics)?.map {
                Dependency(name: $0, condition: .ready)
            }
        }
    }

    // MARK: Probes

    private static var probes: Reading<[Probe]> {
        Reading<[Keyed<Probe>]>.dictionary(of: probe, count: 0...32).map { entries in
            entries.compactMap { entry in
                entry.value.map { probe in
                    Probe(
                        name: entry.key, role: probe.role, test: probe.test, delay: probe.delay,
                        period: probe.period, timeout: probe.timeout,
                        successes: probe.successes, failures: probe.failures)
                }
            }
        }
    }

    /// The keys of which a probe has one, and what stands behind each.
    private static var tests: KeyValuePairs<String, Reading<Probe.Test>> {
        [
            "exec": Reading<[String]>.command.map { .command($0) },
            "http": Reading<Probe.Test>.web,
            "tcp": Reading<Probe.Test>.connection,
            "log": Reading<Probe.Test>.line,
            "fd": Reading<Int>.integer(in: 3...9).map { .descriptor($0) },
        ]
    }

    private static var probe: Reading<Probe> {
        .mapping { probe in
            let given = tests.filter { probe.contains($0.key) }
            let found = given.map { (key: $0.key, test: probe.optional($0.key, $0.value)) }
            let names = tests.map(\.key).joined(separator: ", ")
            if given.isEmpty {
                probe.diagnostics.error(
                    "this probe does not say what is asked", at: probe.heading,
                    help: "add one of \(names)")
            } else if given.count > 1, let location = probe.keyLocation(of: given[1].key) {
                probe.diagnostics.error(
                    "'\(given[0].key)' and '\(given[1].key)' are two probes", at: location,
                    help: "give each a name of its own")
            }
            let role = probe.optional(
                "as", .located(.enumeration("role", of: Probe.Role.self)))
            let isHeard = ["log", "fd"].contains(given.first?.key ?? "")
            if isHeard { checkHeard(probe, given[0].key, role) }
            let isStartup = role?.value == .startup
            let values = (
                delay: probe.optional(
                    "delay", .duration(in: .zero ... .seconds(3_600)), default: .zero),
                period: probe.optional(
                    "period", .duration(in: .milliseconds(10) ... .seconds(3_600)),
                    default: .seconds(1)),
                timeout: probe.optional(
                    "timeout", .duration(in: .milliseconds(1) ... .seconds(3_600)),
                    default: isHeard ? .seconds(30) : .seconds(1)),
                successes: probe.optional("successes", .integer(in: 1...1_000), default: 1),
                failures: probe.optional(
                    "failures", .integer(in: 1...1_000_000), default: isStartup ? 30 : 3)
            )
            guard let test = found.first?.test else { return nil }
            return Probe(
                name: "", role: role?.value ?? .readiness, test: test, delay: values.delay,
                period: values.period, timeout: values.timeout, successes: values.successes,
                failures: isHeard ? 1 : values.failures)
        }
    }

    /// What a process says by itself cannot be asked for again.
    private static func checkHeard(
        _ probe: MappingReader, _ key: String, _ role: Located<Probe.Role>?
    ) {
        if let role, role.value == .liveness {
            probe.diagnostics.error(
                "'\(key)' is heard once, which says nothing of later", at: role.location,
                help: "use it as 'readiness' or 'startup'")
        }
        for other in ["delay", "period", "successes", "failures"] {
            guard let location = probe.keyLocation(of: other) else { continue }
            probe.diagnostics.error(
                "'\(other)' is for what is asked, and '\(key)' is waited for", at: location,
                help: "remove it; 'timeout' says how long a startup probe waits")
        }
    }
}

extension Reading where Value == Probe.Test {
    /// `HOST:PORT` or a port of this machine.
    static var connection: Reading<Probe.Test> {
        Reading("an address, such as 127.0.0.1:5432", example: "127.0.0.1:5432") {
            node, diagnostics in
            guard let text = Reading<String>.scalarText.read(node, reportingTo: diagnostics)
            else { return nil }
            if let (host, port) = address(text) { return .tcp(host: host, port: port) }
            diagnostics.error(
                "\(Diagnostic.quote(text)) is no address", at: node.location,
                help: "write a number and a port, such as 127.0.0.1:5432, or [::1]:5432")
            return nil
        }
    }

    /// `http://HOST:PORT/PATH`.
    static var web: Reading<Probe.Test> {
        Reading("a URL, such as http://127.0.0.1:8080/health", example: "http://127.0.0.1:8080/") {
            node, diagnostics in
            guard let text = Reading<String>.string.read(node, reportingTo: diagnostics)
            else { return nil }
            if text.hasPrefix("http://") {
                let rest = text.dropFirst("http://".count)
                let place = rest.prefix { $0 != "/" }
                let path = rest.dropFirst(place.count)
                let isPlain = path.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
                if isPlain, let (host, port) = address(String(place), standard: 80) {
                    return .http(host: host, port: port, path: path.isEmpty ? "/" : String(path))
                }
            }
            diagnostics.error(
                "\(Diagnostic.quote(text)) is no URL that can be asked", at: node.location,
                help: "write http://127.0.0.1:8080/health: numbers or localhost, no https")
            return nil
        }
    }

    /// An extended regular expression, as `grep -E` takes it.
    static var line: Reading<Probe.Test> {
        Reading("a regular expression", example: "listening") { node, diagnostics in
            guard let text = Reading<String>.nonemptyText.read(node, reportingTo: diagnostics)
            else { return nil }
            var expression = regex_t()
            let code = regcomp(&expression, text, REG_EXTENDED | REG_NOSUB)
            guard code == 0 else {
                var reason = [CChar](repeating: 0, count: 200)
                regerror(code, &expression, &reason, reason.count)
                let words = String(
                    decoding: reason.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) },
                    as: UTF8.self)
                diagnostics.error(
                    "this is no regular expression: \(words)", at: node.location,
                    help: "it is read as 'grep -E' reads it; quote what is meant literally with \\")
                return nil
            }
            regfree(&expression)
            return .line(text)
        }
    }

    /// The host as a number, and the port.
    private static func address(
        _ text: String, standard: UInt16? = nil
    ) -> (host: String, port: UInt16)? {
        var host: Substring
        var digits: Substring
        if text.hasPrefix("[") {
            guard let end = text.firstIndex(of: "]") else { return nil }
            host = text[text.index(after: text.startIndex)..<end]
            digits = text[text.index(after: end)...]
            guard digits.isEmpty || digits.hasPrefix(":") else { return nil }
            digits = digits.dropFirst()
        } else if let colon = text.lastIndex(of: ":") {
            host = text[..<colon]
            digits = text[text.index(after: colon)...]
        } else if UInt16(text) != nil {
            host = "127.0.0.1"
            digits = text[...]
        } else {
            host = text[...]
            digits = ""
        }
        if host == "localhost" { host = "127.0.0.1" }
        var storage = in6_addr()
        let isNumber =
            inet_pton(AF_INET, String(host), &storage) == 1
            || inet_pton(AF_INET6, String(host), &storage) == 1
        guard isNumber, let port = digits.isEmpty ? standard : UInt16(digits), port > 0 else {
            return nil
        }
        return (String(host), port)
    }
}
