/// A scalar after YAML 1.2 core typing: `on`, `off`, `yes` and `no` are strings.
public enum Scalar: Sendable, Hashable {
    case null
    case bool(Bool)
    case integer(Int64)
    case float(Double)
    case string(String)
}

/// A value in a document, and where it stands.
///
/// An alias is replaced by what it names, with the location of the anchor.
public struct Node: Sendable {
    /// What a node holds.
    public enum Content: Sendable {
        /// A value, with its text as it was parsed: `0x10` is `16` with the text `0x10`.
        case scalar(Scalar, text: String)
        case sequence([Node])
        case mapping([Entry])
        /// What means nothing, such as a number of more than 64 bits; that is reported already.
        case invalid
    }

    /// A key and its value; the keys of a mapping are unique and in the file's order.
    public struct Entry: Sendable {
        /// The key's text, whatever it would be as a value.
        public let key: String
        /// Where the key stands.
        public let keyLocation: Location
        /// What stands behind it.
        public let value: Node

        init(key: String, keyLocation: Location, value: Node) {
            self.key = key
            self.keyLocation = keyLocation
            self.value = value
        }
    }

    /// What the node holds.
    public let content: Content
    /// Where it stands.
    public let location: Location
    /// The key that it stands behind, or its own place in a list and at the top of a document.
    public let heading: Location

    init(content: Content, location: Location, heading: Location) {
        self.content = content
        self.location = location
        self.heading = heading
    }

    /// What the node is, as messages say it: `a list`, `the number 5`.
    public var summary: String {
        switch content {
        case .scalar(.null, _): "nothing"
        case .scalar(.bool, let text): "the truth value \(Diagnostic.quote(text))"
        case .scalar(.integer, let text), .scalar(.float, let text):
            "the number \(Diagnostic.quote(text))"
        case .scalar(.string(let text), _): "the text \(Diagnostic.quote(text))"
        case .sequence: "a list"
        case .mapping: "a mapping"
        case .invalid: "what means nothing"
        }
    }

    /// Whether the node is null, as behind a key without a value.
    public var isNull: Bool {
        guard case .scalar(.null, _) = content else { return false }
        return true
    }
}
