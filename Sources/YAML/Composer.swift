extension Node {
    /// How deep lists and mappings may be nested.
    public static let depthMax = 64
    /// How many nodes the aliases of a document may add to those that are written out.
    public static let aliasedCountMax = 10_000

    /// Reads the only document of a source.
    ///
    /// References in its texts are replaced before their types are found: `${COUNT}` may be a number.
    ///
    /// Reports what is wrong with it as YAML: syntax, duplicate keys, tags, aliases, nesting. The
    /// node is `nil` where nothing could be made of the text at all, and may be incomplete where
    /// errors were reported.
    public static func parse(
        _ source: Source, adjusting adjustments: Adjustments = Adjustments(),
        reportingTo diagnostics: Diagnostics
    ) -> Node? {
        guard TextCheck(source: source, diagnostics: diagnostics).passes() else { return nil }
        var root = source.bytes.withUnsafeBufferPointer { bytes -> Node? in
            var composer = Composer(
                bytes, source: source, adjustments: adjustments, diagnostics: diagnostics)
            do throws(Composer.Abandoned) {
                return try composer.document()
            } catch {
                return nil
            }
        }
        for override in adjustments.overrides {
            // What is reported of one says nothing of the next.
            guard let value = override.value(adjustments, reportingTo: diagnostics) else {
                continue
            }
            root = root?.applying(override, value: value, reportingTo: diagnostics) ?? root
        }
        return root
    }
}

/// Builds the node tree out of libyaml's events.
private struct Composer: ~Copyable {
    /// Composition cannot go on; why is reported already.
    struct Abandoned: Error {}

    /// What an anchor names, and what an alias to it costs.
    private struct Anchored {
        let node: Node
        let count: Int
        let height: Int
    }

    private var parser: EventParser
    private let source: Source
    private let references: References
    private let diagnostics: Diagnostics
    private var anchors: [String: Anchored] = [:]
    /// Anchors of the collections that are not complete yet.
    private var openAnchors: Set<String> = []
    private var aliasedCount = 0
    /// The nodes of the document so far, aliases expanded.
    private var count = 0

    init(
        _ bytes: UnsafeBufferPointer<UInt8>, source: Source, adjustments: Adjustments,
        diagnostics: Diagnostics
    ) {
        parser = EventParser(bytes)
        self.source = source
        references = References(adjustments: adjustments)
        self.diagnostics = diagnostics
    }

    /// Reads the stream from its start to its end.
    mutating func document() throws(Abandoned) -> Node? {
        var event = try next()
        guard case .documentStart = event.kind else {
            diagnostics.report(
                Diagnostic(source: source, message: "the file holds no YAML document"))
            return nil
        }
        let (root, _) = try node(from: try next(), depth: 0)
        repeat {
            event = try next()
            if case .documentStart = event.kind {
                diagnostics.error(
                    "a second document begins here", at: location(of: event),
                    help: "a file holds one document: split the file, or remove the '---'")
                return nil
            }
        } while !event.isStreamEnd
        return root
    }

    /// The node that starts with `event`, and its height: 0 for a scalar.
    private mutating func node(
        from event: Event, depth: Int, key: Location? = nil
    ) throws(Abandoned) -> (node: Node, height: Int) {
        guard depth <= Node.depthMax else { throw tooDeep(at: location(of: event)) }
        let countBefore = count
        count += 1
        var location = location(of: event)
        let heading = key ?? location
        let made: (node: Node, height: Int)
        let anchor: String?
        switch event.kind {
        case .alias(let name):
            return try aliased(name, at: location, depth: depth)
        case .scalar(let written, let isPlain, let properties):
            let text = expanded(written, at: location)
            // Nothing stands behind the key, so the key is what can be pointed at.
            if location.length == 0, let key { location = key }
            anchor = properties.anchor
            let content = text.flatMap { text in
                value(of: text, isPlain: isPlain, tag: properties.tag, at: location)
                    .map { Node.Content.scalar($0, text: text) }
            }
            made = (Node(content: content ?? .invalid, location: location, heading: heading), 0)
        case .sequenceStart(let properties):
            check(properties.tag, isFor: "seq", at: location)
            anchor = properties.anchor
            made = try sequence(at: location, heading: heading, depth: depth, anchor: anchor)
        case .mappingStart(let properties):
            check(properties.tag, isFor: "map", at: location)
            anchor = properties.anchor
            made = try mapping(at: location, heading: heading, depth: depth, anchor: anchor)
        default:
            // libyaml's grammar puts nothing else where a node starts.
            diagnostics.error("a value is expected here", at: location)
            throw Abandoned()
        }
        if let anchor {
            anchors[anchor] = Anchored(
                node: made.node, count: count - countBefore, height: made.height)
        }
        return made
    }

    private mutating func sequence(
        at location: Location, heading: Location, depth: Int, anchor: String?
    ) throws(Abandoned) -> (node: Node, height: Int) {
        var location = location
        let isOpen = anchor.map { openAnchors.insert($0).inserted } ?? false
        var elements: [Node] = []
        var height = 0
        while true {
            let event = try next()
            if event.isCollectionEnd {
                location = location.reaching(event.end, otherwise: 1)
                break
            }
            let element = try node(from: event, depth: depth + 1)
            elements.append(element.node)
            height = max(height, element.height)
        }
        if isOpen, let anchor { openAnchors.remove(anchor) }
        return (
            Node(content: .sequence(elements), location: location, heading: heading), height + 1
        )
    }

    private mutating func mapping(
        at location: Location, heading: Location, depth: Int, anchor: String?
    ) throws(Abandoned) -> (node: Node, height: Int) {
        var location = location
        let isOpen = anchor.map { openAnchors.insert($0).inserted } ?? false
        var entries: [Node.Entry] = []
        var places: [String: Location] = [:]
        var height = 0
        while true {
            let event = try next()
            if event.isCollectionEnd {
                location = location.reaching(
                    event.end, otherwise: entries.first?.keyLocation.length ?? 1)
                break
            }
            let isPlain = event.isPlainScalar
            let keyNode = try node(from: event, depth: depth + 1).node
            let keyLocation = self.location(of: event)
            let value = try node(from: try next(), depth: depth + 1, key: keyLocation)
            height = max(height, value.height)
            guard let key = key(keyNode, isPlain: isPlain, at: keyLocation) else { continue }
            if let first = places[key] {
                diagnostics.error(
                    "duplicate key \(Diagnostic.quote(key))", at: keyLocation,
                    help: "line \(first.line) has it already: remove or rename one of the two")
                continue
            }
            places[key] = keyLocation
            entries.append(Node.Entry(key: key, keyLocation: keyLocation, value: value.node))
        }
        if isOpen, let anchor { openAnchors.remove(anchor) }
        return (
            Node(content: .mapping(entries), location: location, heading: heading), height + 1
        )
    }

    /// The text of a key, or `nil` after a report that it cannot be one.
    private func key(_ node: Node, isPlain: Bool, at location: Location) -> String? {
        guard case .scalar(let scalar, let text) = node.content, scalar != .null else {
            diagnostics.error(
                "a key must be a text, this is \(node.summary)", at: location,
                help: node.isNull ? "write the key in front of the ':'" : nil)
            return nil
        }
        if isPlain, text == "<<" {
            diagnostics.error(
                "merge keys are no part of YAML 1.2", at: location,
                help: "write the keys out, or alias a whole mapping: 'key: *anchor'")
            return nil
        }
        return text
    }

    private mutating func aliased(
        _ name: String, at location: Location, depth: Int
    ) throws(Abandoned) -> (node: Node, height: Int) {
        guard let anchored = anchors[name] else {
            if openAnchors.contains(name) {
                diagnostics.error(
                    "the alias \(Diagnostic.quote("*" + name)) stands inside its own anchor",
                    at: location)
            } else {
                diagnostics.unknown("anchor", name, at: location, among: anchors.keys.sorted())
            }
            throw Abandoned()
        }
        count += anchored.count - 1
        aliasedCount += anchored.count
        guard aliasedCount <= Node.aliasedCountMax else {
            diagnostics.error(
                "the aliases of this file stand for more than \(Node.aliasedCountMax) values",
                at: location, help: "write out what is needed, instead of aliases of aliases")
            throw Abandoned()
        }
        guard depth + anchored.height <= Node.depthMax else { throw tooDeep(at: location) }
        return (anchored.node, anchored.height)
    }

    private func tooDeep(at location: Location) -> Abandoned {
        diagnostics.error(
            "lists and mappings are nested deeper than \(Node.depthMax) levels", at: location)
        return Abandoned()
    }

    /// The text of a scalar with its references replaced, or `nil` after a report.
    private func expanded(_ text: String, at location: Location) -> String? {
        guard References.areIn(text) else { return text }
        // Where the scalar stands there as it is, maybe in quotes, the reference itself is shown.
        let quotes = location.length - text.unicodeScalars.count
        return references.expanded(text) { mistake in
            var place = location
            if quotes == 0 || quotes == 2 {
                place = Location(
                    source: source, line: location.line,
                    column: location.column + quotes / 2 + mistake.range.lowerBound,
                    length: mistake.range.count)
            }
            diagnostics.error(mistake.message, at: place, help: mistake.help)
        }
    }

    private static let tagPrefix = "tag:yaml.org,2002:"

    /// The value of a scalar, or `nil` after a report.
    private func value(
        of text: String, isPlain: Bool, tag: String?, at location: Location
    ) -> Scalar? {
        let resolved = CoreSchema.resolve(text)
        switch tag {
        case nil where !isPlain, "!", Self.tagPrefix + "str":
            return .string(text)
        case nil:
            if resolved == nil {
                diagnostics.error(
                    "the number \(Diagnostic.quote(text)) needs more than 64 bits", at: location,
                    help: "quote it if it is a text")
            }
            return resolved
        case let tag?:
            let wanted = tag.hasPrefix(Self.tagPrefix) ? tag.dropFirst(Self.tagPrefix.count) : ""
            if resolved?.tagged(wanted) == nil { refuse(tag, at: location) }
            return resolved?.tagged(wanted)
        }
    }

    private func check(_ tag: String?, isFor kind: String, at location: Location) {
        guard let tag, tag != "!", tag != Self.tagPrefix + kind else { return }
        refuse(tag, at: location)
    }

    private func refuse(_ tag: String, at location: Location) {
        let isCore = tag.hasPrefix(Self.tagPrefix)
        let shown = isCore ? "!!" + tag.dropFirst(Self.tagPrefix.count) : tag
        diagnostics.error(
            "the tag \(Diagnostic.quote(shown)) does not fit here", at: location,
            help: "remove it: types follow from how a value is written")
    }

    private mutating func next() throws(Abandoned) -> Event {
        do throws(SyntaxError) {
            return try parser.next()
        } catch {
            report(error)
            throw Abandoned()
        }
    }

    private func report(_ error: SyntaxError) {
        let place = Location(
            source: source, line: error.mark.line, column: error.mark.column, length: 1)
        let line =
            source.lines.indices.contains(error.mark.line - 1)
            ? source.lines[error.mark.line - 1] : ""
        if line.prefix(while: { $0 == " " || $0 == "\t" }).contains("\t") {
            diagnostics.error(
                "a tab indents this line", at: place, help: "YAML indents with spaces only")
            return
        }
        // Inside of braces and brackets, '{' and '}' are YAML's own.
        let isReference =
            place.column > 1
            && line.unicodeScalars.dropFirst(place.column - 2).starts(
                with: "${".unicodeScalars)
        diagnostics.error(
            "not YAML: " + error.phrase, at: place,
            help: isReference
                ? "between braces or brackets a reference stands in quotes, and is a text; or "
                    + "write the value on a line of its own" : error.help)
    }

    /// Where an event stands; what goes on below its first line ends with that line.
    private func location(of event: Event) -> Location {
        let (start, end) = (event.start, event.end)
        var length = end.column - start.column
        if end.line != start.line {
            let line =
                source.lines.indices.contains(start.line - 1)
                ? source.lines[start.line - 1].unicodeScalars.count : 0
            length = line - start.column + 1
        }
        return Location(
            source: source, line: start.line, column: start.column, length: max(0, length))
    }
}

extension Event {
    fileprivate var isStreamEnd: Bool {
        guard case .streamEnd = kind else { return false }
        return true
    }

    fileprivate var isCollectionEnd: Bool {
        guard case .collectionEnd = kind else { return false }
        return true
    }

    fileprivate var isPlainScalar: Bool {
        guard case .scalar(_, let isPlain, _) = kind else { return false }
        return isPlain
    }
}

extension Location {
    /// The place of a whole flow collection on one line; of other collections, their first
    /// `width` scalars.
    ///
    /// libyaml marks a flow collection's start with its bracket, another's with no width.
    fileprivate func reaching(_ end: Mark, otherwise width: Int) -> Location {
        let isFlow = length > 0 && end.line == line
        return Location(
            source: source, line: line, column: column,
            length: isFlow ? end.column - column : width)
    }
}

extension Scalar {
    /// The value where a core tag is written in front of it, or `nil` where the two disagree.
    fileprivate func tagged(_ tag: Substring) -> Scalar? {
        switch (tag, self) {
        case ("null", .null), ("bool", .bool), ("int", .integer), ("float", .float): self
        case ("float", .integer(let number)): .float(Double(number))
        default: nil
        }
    }
}
