/// What a document gets from outside of its file: values for its references, and overrides.
public struct Adjustments: Sendable {
    /// What `${NAME}` stands for.
    public var variables: [String: String]
    /// The beginnings of names that stand for something only later: `ports.` in `${ports.main}`.
    ///
    /// References to them stay in the text as they are.
    public var deferredPrefixes: [String]
    /// What is put in the place of values of the file, in their order.
    public var overrides: [Override]

    /// Names what comes from outside.
    public init(
        variables: [String: String] = [:], deferring prefixes: [String] = [],
        overrides: [Override] = []
    ) {
        self.variables = variables
        deferredPrefixes = prefixes
        self.overrides = overrides
    }
}

/// A value from the command line that takes the place of one in a file: `agents.camera.replicas=4`.
public struct Override: Sendable {
    /// The keys from the top of the document; in a list, the number of an element, from 0.
    public let path: [String]
    /// The whole text, which diagnostics point into.
    let source: Source
    /// The value's text.
    private let text: String
    /// In front of the value.
    private let prefix: String

    /// Takes a text of the form `PATH=VALUE` apart, or reports what is wrong with it.
    ///
    /// - Parameters:
    ///   - text: the path, an equals sign, and a value as YAML has it
    ///   - origin: where the text comes from, as diagnostics name it: `--set`
    ///   - diagnostics: where reports go
    public init?(_ text: String, origin: String, reportingTo diagnostics: Diagnostics) {
        source = Source(name: origin, text: text)
        let whole = Location(source: source, line: 1, column: 1, length: text.unicodeScalars.count)
        guard !text.contains(where: \.isNewline), let sign = text.firstIndex(of: "=") else {
            diagnostics.error(
                "expected PATH=VALUE on one line, found \(Diagnostic.quote(text))", at: whole,
                help: "such as 'agents.camera.replicas=4'")
            return nil
        }
        path = text[..<sign].split(separator: ".", omittingEmptySubsequences: false)
            .map(String.init)
        guard path.allSatisfy({ !$0.isEmpty }) else {
            diagnostics.error(
                "the path \(Diagnostic.quote(text[..<sign])) has an empty part", at: whole,
                help: "keys with a '.' between them, such as 'agents.camera.replicas=4'")
            return nil
        }
        let start = text.index(after: sign)
        self.text = String(text[start...])
        prefix = String(text[..<start])
    }

    /// Where a part of the path stands in the text.
    func location(of part: Int) -> Location {
        let before = path[..<part].reduce(0) { $0 + $1.unicodeScalars.count + 1 }
        return Location(
            source: source, line: 1, column: before + 1, length: path[part].unicodeScalars.count)
    }

    /// The value as a node, or `nil` after a report.
    func value(_ adjustments: Adjustments, reportingTo diagnostics: Diagnostics) -> Node? {
        // Spaces instead of the path: what is reported of the value stands where the value does.
        let blank = String(repeating: " ", count: prefix.unicodeScalars.count)
        let shown = Source(name: source.name, bytes: Array((blank + text).utf8))
        var plain = adjustments
        plain.overrides = []
        guard !text.allSatisfy(\.isWhitespace) else {
            return Node(
                content: .scalar(.null, text: ""), location: location(of: path.count - 1),
                heading: location(of: path.count - 1))
        }
        return Node.parse(shown, adjusting: plain, reportingTo: diagnostics)
    }
}

extension Node {
    /// The same tree with one value in the place of another, or a key more; `nil` after a report.
    ///
    /// Only the last part of the path may be new: whether a key of this name means anything is
    /// found out by whoever reads the tree.
    func applying(
        _ override: Override, value: Node, from part: Int = 0,
        reportingTo diagnostics: Diagnostics
    ) -> Node? {
        guard part < override.path.count else { return value }
        let name = override.path[part]
        let isLast = part == override.path.count - 1
        switch content {
        case .mapping(var entries):
            if let index = entries.firstIndex(where: { $0.key == name }) {
                let entry = entries[index]
                guard
                    let changed = entry.value.applying(
                        override, value: value, from: part + 1, reportingTo: diagnostics)
                else { return nil }
                entries[index] = Entry(
                    key: name,
                    keyLocation: isLast ? override.location(of: part) : entry.keyLocation,
                    value: changed)
            } else if isLast {
                entries.append(
                    Entry(key: name, keyLocation: override.location(of: part), value: value))
            } else {
                diagnostics.unknown(
                    "key", name, at: override.location(of: part), among: entries.map(\.key))
                return nil
            }
            return Node(content: .mapping(entries), location: location, heading: heading)
        case .sequence(var elements):
            guard let index = Int(name), elements.indices.contains(index) else {
                diagnostics.error(
                    "\(Diagnostic.quote(name)) is no element of this list",
                    at: override.location(of: part),
                    help: elements.isEmpty
                        ? "the list is empty" : "a number from 0 to \(elements.count - 1)")
                return nil
            }
            guard
                let changed = elements[index].applying(
                    override, value: value, from: part + 1, reportingTo: diagnostics)
            else { return nil }
            elements[index] = changed
            return Node(content: .sequence(elements), location: location, heading: heading)
        case .scalar, .invalid:
            diagnostics.error(
                "there is nothing below \(Diagnostic.quote(override.path[..<part].joined(separator: "."))): "
                    + "it is \(summary)", at: override.location(of: part))
            return nil
        }
    }
}
