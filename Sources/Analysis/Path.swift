public import JSON

/// A place in a JSON value: `$.points[3].x`, members that are no plain word in quotes.
public struct Path: Sendable, Hashable, CustomStringConvertible {
    /// One step down.
    public enum Component: Sendable, Hashable {
        case member(String)
        case index(Int)
    }

    /// The steps from the root.
    public var components: [Component]

    /// A place, by default the whole value.
    public init(_ components: [Component] = []) {
        self.components = components
    }

    /// The path as text.
    public var description: String { text { "[\($0)]" } }

    /// The path with every index replaced by `[*]`, so that places in lists can be counted together.
    public var generalised: String { text { _ in "[*]" } }

    private func text(index describe: (Int) -> String) -> String {
        components.reduce(into: "$") { text, component in
            switch component {
            case .index(let index): text += describe(index)
            case .member(let name) where Self.isPlain(name): text += "." + name
            case .member(let name): text += "[" + Value.string(name).canonical + "]"
            }
        }
    }

    static func isPlain(_ name: String) -> Bool {
        !name.isEmpty
            && name.utf8.allSatisfy {
                (0x30...0x39).contains($0) || (0x41...0x5A).contains($0)
                    || (0x61...0x7A).contains($0) || $0 == 0x5F || $0 == 0x2D
            }
    }
}

/// Why a text is no path pattern.
public struct PathPatternError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The text.
    public let text: String
    /// What is wrong with it.
    public let reason: String

    /// One line for a person, with the remedy.
    public var description: String {
        "'\(text)' is no path: \(reason); write it as $.points[3].x, with * for any member or index"
    }
}

/// Places in a JSON value: a path in which `.*` stands for any member and `[*]` for any index.
public struct PathPattern: Sendable, Hashable, CustomStringConvertible {
    private enum Component: Sendable, Hashable {
        case member(String)
        case index(Int)
        case anyMember
        case anyIndex
    }

    /// The pattern as it was written.
    public let description: String
    private let components: [Component]

    /// Reads a pattern.
    ///
    /// - Throws: `PathPatternError` that says what does not fit.
    public init(_ text: String) throws(PathPatternError) {
        func fail(_ reason: String) -> PathPatternError {
            PathPatternError(text: text, reason: reason)
        }
        var components: [Component] = []
        var rest = text[...]
        guard rest.popFirst() == "$" else { throw fail("it does not start with '$'") }
        while let first = rest.popFirst() {
            switch first {
            case ".":
                let name = rest.prefix { $0 != "." && $0 != "[" }
                rest = rest.dropFirst(name.count)
                guard !name.isEmpty else { throw fail("a member name is empty") }
                components.append(name == "*" ? .anyMember : .member(String(name)))
            case "[" where rest.first == "\"":
                guard let end = Self.endOfQuoted(rest),
                    let value = try? Value(parsing: String(rest[...end])),
                    let name = value.string, rest[rest.index(after: end)...].first == "]"
                else { throw fail("a quoted member name does not end") }
                components.append(.member(name))
                rest = rest[rest.index(after: end)...].dropFirst()
            case "[":
                let index = rest.prefix { $0 != "]" }
                rest = rest.dropFirst(index.count)
                guard rest.popFirst() == "]" else { throw fail("a '[' is not closed") }
                if index == "*" {
                    components.append(.anyIndex)
                } else if let number = Int(index), number >= 0 {
                    components.append(.index(number))
                } else {
                    throw fail("'\(index)' is no index")
                }
            default: throw fail("'\(first)' where '.' or '[' should be")
            }
        }
        self.description = text
        self.components = components
    }

    private static func endOfQuoted(_ text: Substring) -> Substring.Index? {
        var isEscaped = false
        for index in text.indices.dropFirst() {
            if isEscaped {
                isEscaped = false
            } else if text[index] == "\\" {
                isEscaped = true
            } else if text[index] == "\"" {
                return index
            }
        }
        return nil
    }

    /// Whether the pattern names exactly this place.
    public func matches(_ path: Path) -> Bool {
        components.count == path.components.count && covers(path)
    }

    /// Whether the pattern speaks of a place that stands for several, its indexes written `[*]`.
    func speaks(of places: PathPattern) -> Bool {
        guard components.count <= places.components.count else { return false }
        return zip(components, places.components).allSatisfy { pattern, component in
            switch (pattern, component) {
            case (.anyMember, .member), (.anyIndex, .anyIndex), (.index, .anyIndex): true
            default: pattern == component
            }
        }
    }

    /// Whether the pattern names this place or one above it.
    public func covers(_ path: Path) -> Bool {
        guard components.count <= path.components.count else { return false }
        return zip(components, path.components).allSatisfy { pattern, component in
            switch (pattern, component) {
            case (.anyMember, .member), (.anyIndex, .index): true
            case (.member(let one), .member(let other)): one == other
            case (.index(let one), .index(let other)): one == other
            default: false
            }
        }
    }

    /// What stands at the places that the pattern names.
    public func values(in value: Value) -> [Value] {
        components.reduce([value]) { values, component in
            values.flatMap { value -> [Value] in
                switch (component, value) {
                case (.member(let name), .object(let members)): members[name].map { [$0] } ?? []
                case (.anyMember, .object(let members)):
                    members.sorted { $0.key < $1.key }.map(\.value)
                case (.index(let index), .array(let elements)):
                    index < elements.count ? [elements[index]] : []
                case (.anyIndex, .array(let elements)): elements
                default: []
                }
            }
        }
    }

    /// The value with something else at the places that the pattern names.
    ///
    /// - Parameters:
    ///   - value: The value.
    ///   - replace: What is to stand there; nil takes it out.
    /// - Returns: The new value; nil where the whole was taken out.
    public func replacing(
        in value: Value, with replace: (Value) -> Value?
    ) -> Value? {
        Self.replacing(components[...], in: value, with: replace)
    }

    private static func replacing(
        _ components: ArraySlice<Component>, in value: Value, with replace: (Value) -> Value?
    ) -> Value? {
        guard let first = components.first else { return replace(value) }
        let rest = components.dropFirst()
        switch (first, value) {
        case (.member(let name), .object(var members)):
            guard let member = members[name] else { return value }
            members[name] = replacing(rest, in: member, with: replace)
            return .object(members)
        case (.anyMember, .object(let members)):
            return .object(
                members.compactMapValues { replacing(rest, in: $0, with: replace) })
        case (.index(let index), .array(var elements)):
            guard index < elements.count else { return value }
            let element = replacing(rest, in: elements[index], with: replace)
            elements.replaceSubrange(index...index, with: element.map { [$0] } ?? [])
            return .array(elements)
        case (.anyIndex, .array(let elements)):
            return .array(elements.compactMap { replacing(rest, in: $0, with: replace) })
        default: return value
        }
    }
}
