public import JSON
public import Wire

/// What the check of one program found, clause by clause.
public struct ConformanceReport: Sendable {
    /// How a clause was kept.
    public enum Outcome: Sendable, Hashable {
        /// It was, as far as the check can see.
        case kept
        /// It was not, and why.
        case broken(String)
        /// It was not looked at, and why.
        case skipped(String)
    }

    /// What was found about one clause on one transport.
    public struct Entry: Sendable {
        /// The clause.
        public let clause: Clause
        /// How the program was attached.
        public let transport: Transport
        /// What was found.
        public let outcome: Outcome
    }

    /// The program and its arguments.
    public let command: [String]
    /// Where the logs of all processes are.
    public let directory: String
    /// In the order of the clauses, transport after transport.
    public internal(set) var entries: [Entry] = []

    /// Whether no clause was broken.
    public var isConforming: Bool {
        !entries.contains { entry in
            if case .broken = entry.outcome { true } else { false }
        }
    }

    /// One line a clause, and one at the end.
    public var text: String {
        var lines = entries.map { entry in
            let words: (String, String?) =
                switch entry.outcome {
                case .kept: ("ok", nil)
                case .broken(let reason): ("FAIL", reason)
                case .skipped(let reason): ("skipped", reason)
                }
            let number = entry.clause.rawValue
            return
                "\(words.0.padded(to: 7))  \(entry.transport.rawValue.padded(to: 4))  "
                + "\(number.padded(to: 4))  \(entry.clause.title)"
                + (words.1.map { ": \($0)" } ?? "")
                + (words.0 == "FAIL" ? " (agents/README.md, \(number))" : "")
        }
        let broken = entries.count { if case .broken = $0.outcome { true } else { false } }
        let skipped = entries.count { if case .skipped = $0.outcome { true } else { false } }
        lines.append(
            broken == 0
                ? "The program keeps the contract: \(entries.count - skipped) checks, "
                    + "\(skipped) skipped."
                : "The program breaks the contract: \(broken) of \(entries.count) checks. "
                    + "Logs: \(directory)")
        return lines.joined(separator: "\n")
    }

    /// The same for programs.
    public var json: Value {
        [
            "schema": 1,
            "command": .array(command.map { .string($0) }),
            "conforming": .bool(isConforming),
            "directory": .string(directory),
            "clauses": .array(
                entries.map { entry in
                    var members: [String: Value] = [
                        "clause": .string(entry.clause.rawValue),
                        "title": .string(entry.clause.title),
                        "transport": .string(entry.transport.rawValue),
                    ]
                    switch entry.outcome {
                    case .kept: members["outcome"] = "ok"
                    case .broken(let reason):
                        members["outcome"] = "fail"
                        members["reason"] = .string(reason)
                    case .skipped(let reason):
                        members["outcome"] = "skipped"
                        members["reason"] = .string(reason)
                    }
                    return .object(members)
                }),
        ]
    }
}

extension String {
    fileprivate func padded(to width: Int) -> String {
        self + String(repeating: " ", count: max(0, width - count))
    }
}
