/// Reads a mapping whose keys are known, key by key, and remembers which were asked for.
///
/// `Reading.mapping` makes one and finishes it; see `Reading` for an example.
public final class MappingReader {
    /// Where reports go, for checks that span several keys.
    public let diagnostics: Diagnostics
    /// Where the mapping stands.
    public let location: Location
    /// The key that the mapping stands behind; in a list and at the top, its own place.
    public let heading: Location

    private let entries: [Node.Entry]
    private let indexes: [String: Int]
    /// In the order in which they were asked for: messages list the important ones first.
    private var asked: [String] = []
    private var isIgnored: Set<String> = []

    /// Makes a reader, or reports that the node is no mapping and returns `nil`.
    public init?(_ node: Node, reportingTo diagnostics: Diagnostics) {
        guard let entries = node.entries else {
            diagnostics.expected("a mapping", found: node)
            return nil
        }
        self.diagnostics = diagnostics
        self.entries = entries
        location = node.location
        heading = node.heading
        indexes = Dictionary(
            entries.enumerated().map { ($0.element.key, $0.offset) }, uniquingKeysWith: { $1 })
    }

    /// The keys that there are, in the file's order.
    public var keys: [String] { entries.map(\.key) }

    /// Whether the key is there; this alone does not make it known.
    public func contains(_ key: String) -> Bool { indexes[key] != nil }

    /// Where the key stands, or `nil` where it is missing.
    public func keyLocation(of key: String) -> Location? { entry(key)?.keyLocation }

    /// Where the value of the key stands, or `nil` where the key is missing.
    public func location(of key: String) -> Location? { entry(key)?.value.location }

    /// Reads a key that must be there; `nil` after a report.
    ///
    /// - Parameters:
    ///   - key: the key
    ///   - reading: how its value is read
    ///   - example: a value that would be right, as it is written in YAML, for the help
    /// - Returns: the value, or `nil` where the key is missing or its value is wrong
    public func required<Value>(
        _ key: String, _ reading: Reading<Value>, example: String? = nil
    ) -> Value? {
        guard let entry = ask(key) else {
            diagnostics.error(
                "missing key '\(key)'", at: heading,
                help: (example ?? reading.example).map { "add '\(key): \($0)'" })
            return nil
        }
        return reading.read(entry.value, reportingTo: diagnostics)
    }

    /// Reads a key that may be missing; `nil` where it is, and after a report.
    public func optional<Value>(_ key: String, _ reading: Reading<Value>) -> Value? {
        ask(key).flatMap { reading.read($0.value, reportingTo: diagnostics) }
    }

    /// Reads a key that has a default; the default also where the value is wrong and reported.
    public func optional<Value>(
        _ key: String, _ reading: Reading<Value>, default value: Value
    ) -> Value {
        optional(key, reading) ?? value
    }

    /// Makes keys known without reading them, so that no report about them follows from another.
    public func ignore(_ keys: String...) {
        isIgnored.formUnion(keys)
    }

    /// Reports every key that was not asked for as unknown.
    public func finish() {
        let known = Set(asked).union(isIgnored)
        for entry in entries where !known.contains(entry.key) {
            guard !diagnostics.isFull, let meant = Suggestion.nearest(to: entry.key, among: asked),
                let present = keyLocation(of: meant)
            else {
                diagnostics.unknown("key", entry.key, at: entry.keyLocation, among: asked)
                continue
            }
            diagnostics.error(
                "unknown key \(Diagnostic.quote(entry.key))", at: entry.keyLocation,
                help: "did you mean '\(meant)'? Line \(present.line) has it already")
        }
    }

    private func entry(_ key: String) -> Node.Entry? { indexes[key].map { entries[$0] } }

    private func ask(_ key: String) -> Node.Entry? {
        if !asked.contains(key) { asked.append(key) }
        return entry(key)
    }
}
