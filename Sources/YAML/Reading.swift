/// How a node becomes a value: the type that a key is declared with.
///
/// Readings are declarations. The standard ones are `string`, `integer(in:)`, `number(in:)`,
/// `bool`, `duration(in:)`, `byteSize(in:)`, `enumeration(_:of:)`, `list(of:)`,
/// `dictionary(of:)`, `mapping(_:)` and `oneKey(of:what:)`. A reading never stops at the first
/// error: it reports, and what can still be read is read. For example:
///
///     struct Pool { var name: String, size: Int, slots: Int, idle: Duration }
///
///     let file = Reading<[Pool]>.mapping { reader in
///         let pools = reader.required("pools", .dictionary(of: .mapping { pool in
///             (
///                 size: pool.required("size", .byteSize()),
///                 slots: pool.optional("slots", .integer(in: 1...64), default: 4),
///                 idle: pool.optional("idle", .duration(), default: .seconds(5))
///             )
///         }))
///         return pools?.compactMap { entry in
///             guard let settings = entry.value, let size = settings.size else { return nil }
///             return Pool(
///                 name: entry.key, size: size, slots: settings.slots, idle: settings.idle)
///         }
///     }
///
///     let diagnostics = Diagnostics()
///     let pools = file.read(contentsOf: "pools.yaml", reportingTo: diagnostics)
///     if diagnostics.hasErrors { print(diagnostics.rendered) }
///
/// Keys that no reading asked for are reported when the body of `mapping` returns, with the key
/// that was probably meant. So a body asks for all of its keys, whatever it finds in them.
public struct Reading<Value> {
    /// What is expected, as messages say it: `a duration, such as 5s`.
    public let expected: String
    /// A value that would be right, as it is written in YAML, for the help about a missing key.
    public let example: String?

    private let body: (Node, Diagnostics) -> Value?

    /// Declares a type of value.
    ///
    /// - Parameters:
    ///   - expected: what is expected, as messages say it: `a duration, such as 5s`
    ///   - example: a value that would be right, as it is written in YAML
    ///   - body: returns the value, or reports to the diagnostics and returns `nil`
    public init(
        _ expected: String, example: String? = nil,
        body: @escaping (Node, Diagnostics) -> Value?
    ) {
        self.expected = expected
        self.example = example
        self.body = body
    }

    /// Reads a node; `nil` after a report.
    public func read(_ node: Node, reportingTo diagnostics: Diagnostics) -> Value? {
        body(node, diagnostics)
    }

    /// Reads the document in a source; `nil` after a report.
    ///
    /// There may be a value *and* errors, such as an unknown key: ask `diagnostics.hasErrors`.
    public func read(
        _ source: Source, adjusting adjustments: Adjustments = Adjustments(),
        reportingTo diagnostics: Diagnostics
    ) -> Value? {
        Node.parse(source, adjusting: adjustments, reportingTo: diagnostics).flatMap {
            read($0, reportingTo: diagnostics)
        }
    }

    /// Reads the document in a file; `nil` after a report.
    public func read(contentsOf path: String, reportingTo diagnostics: Diagnostics) -> Value? {
        Source.read(path, reportingTo: diagnostics).flatMap {
            read($0, reportingTo: diagnostics)
        }
    }
}

/// A value with its place, for what can only be checked when everything has been read.
public struct Located<Value> {
    /// The value.
    public let value: Value
    /// Where it stands.
    public let location: Location

    /// Puts a value and a place together.
    public init(_ value: Value, at location: Location) {
        self.value = value
        self.location = location
    }
}

extension Located: Sendable where Value: Sendable {}

/// A complaint about a value of the right type: what is wrong, and what to do about it.
public struct Complaint {
    /// What is wrong.
    public let message: String
    /// What to do about it.
    public let help: String?

    /// Makes a complaint.
    public init(_ message: String, help: String? = nil) {
        self.message = message
        self.help = help
    }
}

extension Reading {
    /// The same, with the place of the value.
    public static func located<Wrapped>(_ reading: Reading<Wrapped>) -> Reading<Located<Wrapped>>
    where Value == Located<Wrapped> {
        Reading(reading.expected, example: reading.example) { node, diagnostics in
            reading.read(node, reportingTo: diagnostics).map { Located($0, at: node.location) }
        }
    }

    /// The same, where values that draw a complaint are refused.
    public func checked(_ complaint: @escaping (Value) -> Complaint?) -> Reading {
        Reading(expected, example: example) { node, diagnostics in
            guard let value = read(node, reportingTo: diagnostics) else { return nil }
            guard let complaint = complaint(value) else { return value }
            diagnostics.error(complaint.message, at: node.location, help: complaint.help)
            return nil
        }
    }

    /// The same, with the value turned into another.
    public func map<Other>(_ transform: @escaping (Value) -> Other) -> Reading<Other> {
        Reading<Other>(expected, example: example) { node, diagnostics in
            read(node, reportingTo: diagnostics).map(transform)
        }
    }
}

extension Diagnostics {
    /// Adds an error about a node that is not what it should be.
    ///
    /// - Parameters:
    ///   - expected: what it should be: `a duration, such as 5s`
    ///   - node: what is there
    ///   - help: what to do about it
    public func expected(_ expected: String, found node: Node, help: String? = nil) {
        if case .invalid = node.content { return }
        error(
            "expected \(expected), found \(node.summary)", at: node.location,
            help: help ?? (node.isNull ? "give it a value, or remove the key" : nil))
    }
}
