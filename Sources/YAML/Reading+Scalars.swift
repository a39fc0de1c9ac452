extension Reading where Value == Node {
    /// Any value, unread.
    public static var any: Reading<Node> {
        Reading("a value") { node, _ in node }
    }
}

extension Reading where Value == String {
    /// A text.
    public static var string: Reading<String> {
        Reading("a text") { node, diagnostics in
            guard case .scalar(let scalar, let text) = node.content, scalar != .null else {
                diagnostics.expected("a text", found: node)
                return nil
            }
            guard case .string = scalar else {
                diagnostics.expected("a text", found: node, help: "quote it: \"\(text)\"")
                return nil
            }
            return text.refusingNUL(at: node, diagnostics)
        }
    }

    /// Any scalar as it is written, so that `PORT: 5555` and `PORT: "5555"` are the same.
    public static var scalarText: Reading<String> {
        Reading("a text or a number") { node, diagnostics in
            guard case .scalar(let scalar, let text) = node.content, scalar != .null else {
                diagnostics.expected("a text or a number", found: node)
                return nil
            }
            return text.refusingNUL(at: node, diagnostics)
        }
    }
}

extension String {
    /// Texts end up in C strings, which a NUL would cut off unseen.
    fileprivate func refusingNUL(at node: Node, _ diagnostics: Diagnostics) -> String? {
        guard utf8.contains(0) else { return self }
        diagnostics.error("this text holds a NUL character", at: node.location)
        return nil
    }
}

extension Reading where Value == Bool {
    /// `true` or `false`.
    public static var bool: Reading<Bool> {
        Reading("true or false", example: "true") { node, diagnostics in
            if case .scalar(.bool(let value), _) = node.content { return value }
            var help: String?
            if case .scalar(.string(let text), _) = node.content {
                let word = text.lowercased()
                if ["yes", "on"].contains(word) { help = "write 'true'" }
                if ["no", "off"].contains(word) { help = "write 'false'" }
            }
            diagnostics.expected("true or false", found: node, help: help)
            return nil
        }
    }
}

extension Reading where Value == Int {
    /// A whole number; decimal, `0o17` or `0x1F`.
    public static func integer(in range: ClosedRange<Int> = .min ... .max) -> Reading<Int> {
        Reading("a whole number", example: String(max(range.lowerBound, 1))) { node, diagnostics in
            guard case .scalar(.integer(let number), let text) = node.content else {
                diagnostics.expected("a whole number", found: node, help: node.wholeNumberHelp)
                return nil
            }
            return diagnostics.inRange(Int(number), range, node, text) { String($0) }
        }
    }

    /// A whole number of at least `range.lowerBound`.
    public static func integer(in range: PartialRangeFrom<Int>) -> Reading<Int> {
        integer(in: range.lowerBound ... .max)
    }
}

extension Node {
    /// How to write the whole number that a quoted `"4"`, or `1e6`, probably is.
    fileprivate var wholeNumberHelp: String? {
        switch content {
        case .scalar(.string(let text), _):
            guard case .integer? = CoreSchema.resolve(text) else { return nil }
            return "write it as a number: \(text)"
        case .scalar(.float(let number), _):
            return Int(exactly: number).map { "write it out: \($0)" }
        default: return nil
        }
    }
}

extension Reading where Value == Double {
    /// A finite number, with or without a fraction.
    public static func number(
        in range: ClosedRange<Double> = -.greatestFiniteMagnitude ... .greatestFiniteMagnitude
    ) -> Reading<Double> {
        Reading("a number", example: "1.5") { node, diagnostics in
            let number: Double
            let text: String
            switch node.content {
            case .scalar(.integer(let whole), let written):
                (number, text) = (Double(whole), written)
            case .scalar(.float(let value), let written): (number, text) = (value, written)
            default:
                diagnostics.expected("a number", found: node)
                return nil
            }
            return diagnostics.inRange(number, range, node, text) { String($0) }
        }
    }
}

extension Reading {
    /// One word of several, each with the value that it stands for.
    ///
    /// - Parameters:
    ///   - what: what the word is, as messages say it: `shape`
    ///   - words: the words, in the order in which messages list them
    /// - Returns: a reading of such a word
    public static func enumeration(
        _ what: String, of words: KeyValuePairs<String, Value>
    ) -> Reading {
        let known = words.map(\.key)
        let expected = "one of " + known.joined(separator: ", ")
        return Reading(expected, example: known.first) { node, diagnostics in
            guard case .scalar(.string(let text), _) = node.content else {
                diagnostics.expected(expected, found: node)
                return nil
            }
            if let match = words.first(where: { $0.key == text }) { return match.value }
            diagnostics.unknown(what, text, at: node.location, among: known)
            return nil
        }
    }

    /// One case of an enum, by its raw value.
    public static func enumeration(_ what: String, of type: Value.Type) -> Reading
    where Value: CaseIterable & RawRepresentable<String> {
        let known = type.allCases.map(\.rawValue)
        let expected = "one of " + known.joined(separator: ", ")
        return Reading(expected, example: known.first) { node, diagnostics in
            guard case .scalar(.string(let text), _) = node.content else {
                diagnostics.expected(expected, found: node)
                return nil
            }
            if let value = Value(rawValue: text) { return value }
            diagnostics.unknown(what, text, at: node.location, among: known)
            return nil
        }
    }
}

extension Reading where Value == String {
    /// One word of several.
    ///
    /// - Parameters:
    ///   - what: what the word is, as messages say it: `shape`
    ///   - words: the words, in the order in which messages list them
    /// - Returns: a reading of such a word
    public static func enumeration(_ what: String, among words: [String]) -> Reading<String> {
        let expected = "one of " + words.joined(separator: ", ")
        return Reading(expected, example: words.first) { node, diagnostics in
            guard case .scalar(.string(let text), _) = node.content else {
                diagnostics.expected(expected, found: node)
                return nil
            }
            if words.contains(text) { return text }
            diagnostics.unknown(what, text, at: node.location, among: words)
            return nil
        }
    }
}

extension Diagnostics {
    /// The value where it is in the range, else `nil` after a report.
    func inRange<Bound: Comparable>(
        _ value: Bound, _ range: ClosedRange<Bound>, _ node: Node, _ text: String,
        naming bounds: (Bound) -> String
    ) -> Bound? {
        if range.contains(value) { return value }
        // A comparison that is false for NaN, which belongs to no range.
        let help =
            value < range.lowerBound
            ? "it must be at least \(bounds(range.lowerBound))"
            : "it must be at most \(bounds(range.upperBound))"
        error("\(Diagnostic.quote(text)) is out of range", at: node.location, help: help)
        return nil
    }
}
