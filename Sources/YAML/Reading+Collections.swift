/// A key with what stands behind it.
public struct Keyed<Value> {
    /// The key.
    public let key: String
    /// Where the key stands.
    public let location: Location
    /// What stands behind it; `nil` where it could not be read, which was reported.
    public let value: Value?

    /// Puts a key and a value together.
    public init(key: String, location: Location, value: Value?) {
        self.key = key
        self.location = location
        self.value = value
    }
}

extension Keyed: Sendable where Value: Sendable {}

extension Reading {
    /// A list; elements that cannot be read are reported and left out.
    public static func list<Element>(
        of element: Reading<Element>, count: ClosedRange<Int> = 0 ... .max
    ) -> Reading<[Element]> where Value == [Element] {
        Reading("a list", example: "[]") { node, diagnostics in
            guard case .sequence(let nodes) = node.content else {
                diagnostics.expected(
                    "a list", found: node,
                    help: node.scalarText.map { "write it in brackets: [\($0)]" })
                return nil
            }
            guard diagnostics.inBounds(nodes.count, count, "list", "elements", node) else {
                return nil
            }
            return nodes.compactMap { element.read($0, reportingTo: diagnostics) }
        }
    }

    /// A list, or one element without the brackets.
    public static func listOrOne<Element>(
        of element: Reading<Element>, count: ClosedRange<Int> = 0 ... .max
    ) -> Reading<[Element]> where Value == [Element] {
        let list = Reading.list(of: element, count: count)
        return Reading("\(element.expected), or a list") { node, diagnostics in
            if case .sequence = node.content { return list.read(node, reportingTo: diagnostics) }
            return element.read(node, reportingTo: diagnostics).map { [$0] }
        }
    }

    /// A mapping whose keys the user chooses, such as names; in the file's order.
    ///
    /// A key whose value cannot be read is kept, without a value: what refers to it is not wrong.
    public static func dictionary<Element>(
        of element: Reading<Element>, count: ClosedRange<Int> = 0 ... .max
    ) -> Reading<[Keyed<Element>]> where Value == [Keyed<Element>] {
        Reading("a mapping", example: "{}") { node, diagnostics in
            guard let entries = node.entries else {
                diagnostics.expected("a mapping", found: node, help: node.firstElementAsKey)
                return nil
            }
            guard diagnostics.inBounds(entries.count, count, "mapping", "keys", node) else {
                return nil
            }
            return entries.map {
                Keyed(
                    key: $0.key, location: $0.keyLocation,
                    value: element.read($0.value, reportingTo: diagnostics))
            }
        }
    }

    /// A mapping with known keys, which `body` asks the reader for.
    ///
    /// When `body` returns, every key that it did not ask for is reported as unknown. Nothing
    /// behind a key reads as a mapping without keys.
    public static func mapping(_ body: @escaping (MappingReader) -> Value?) -> Reading {
        Reading("a mapping") { node, diagnostics in
            guard let reader = MappingReader(node, reportingTo: diagnostics) else { return nil }
            let value = body(reader)
            reader.finish()
            return value
        }
    }

    /// A mapping of exactly one known key, which says how its value is read.
    ///
    /// Such as the steps of `[{wait: 5s}, {kill: {agent: mesh}}]`. A key without a value may be
    /// written as a plain word, if its reading takes nothing (as `mapping` does).
    ///
    /// - Parameters:
    ///   - readings: the keys, each with the reading of its value
    ///   - what: what the key names, as messages say it: `step`
    /// - Returns: a reading of such a mapping
    public static func oneKey(
        of readings: KeyValuePairs<String, Reading>, what: String
    ) -> Reading {
        let known = readings.map(\.key)
        return Reading("a \(what)") { node, diagnostics in
            let entry: Node.Entry
            if case .scalar(.string(let word), _) = node.content {
                let nothing = Node(
                    content: .scalar(.null, text: ""), location: node.location,
                    heading: node.location)
                entry = Node.Entry(key: word, keyLocation: node.location, value: nothing)
            } else if case .mapping(let entries) = node.content, entries.count == 1 {
                entry = entries[0]
            } else {
                diagnostics.expected(
                    "a \(what), which is one key with its value", found: node,
                    help: "one of " + known.joined(separator: ", "))
                return nil
            }
            guard let reading = readings.first(where: { $0.key == entry.key })?.value else {
                diagnostics.unknown(what, entry.key, at: entry.keyLocation, among: known)
                return nil
            }
            return reading.read(entry.value, reportingTo: diagnostics)
        }
    }
}

extension Diagnostics {
    /// Whether a collection has as many elements as it may; reports it where not.
    fileprivate func inBounds(
        _ count: Int, _ bounds: ClosedRange<Int>, _ what: String, _ elements: String, _ node: Node
    ) -> Bool {
        if bounds.contains(count) { return true }
        let bound =
            count < bounds.lowerBound
            ? "at least \(bounds.lowerBound)" : "at most \(bounds.upperBound)"
        error("this \(what) has \(count) \(elements), it must have \(bound)", at: node.heading)
        return false
    }
}

extension Node {
    /// The entries of a mapping; none where there is nothing, `nil` for other content.
    var entries: [Entry]? {
        switch content {
        case .mapping(let entries): entries
        case .scalar(.null, _): []
        default: nil
        }
    }

    /// How a list of names is written where each may say more.
    fileprivate var firstElementAsKey: String? {
        guard case .sequence(let elements) = content else { return nil }
        return elements.first?.scalarText.map { "write keys with values: {\($0): …}" }
    }

    /// The text of a scalar that is short enough to be repeated in a message.
    fileprivate var scalarText: String? {
        guard case .scalar(let scalar, let text) = content, scalar != .null, text.count <= 40,
            !text.contains(where: \.isNewline)
        else { return nil }
        return text
    }
}
