internal import JSON
internal import Recording

/// Where two contents differ, for a person.
struct ContentDifference {
    let path: String
    let reason: String

    /// The path without its position, so that differences can be counted together.
    var kind: String { path.hasPrefix("byte ") ? "byte" : path }

    /// Whether two contents are the same, by bytes where both are there, else by length and digest.
    static func isSame(_ left: Content, _ right: Content) -> Bool {
        if case .bytes(let one) = left, case .bytes(let other) = right { return one == other }
        return left.length == right.length && left.digest == right.digest
    }

    /// The first difference of two contents that are not the same.
    init(_ left: Content, _ right: Content) {
        guard case .bytes(let one) = left, case .bytes(let other) = right else {
            path = left.length == right.length ? "digest" : "length"
            reason =
                left.length == right.length
                ? "\(ContentDigest.text(left.digest)) became \(ContentDigest.text(right.digest))"
                : "\(left.length) bytes became \(right.length)"
            return
        }
        if let before = try? Value(parsing: one), let after = try? Value(parsing: other),
            let first = StructuralDiff(before, after, limit: 1).differences.first
        {
            path = first.path.description
            reason = "\(Excerpt.of(first.left)) became \(Excerpt.of(first.right))"
            return
        }
        let offset = zip(one, other).enumerated().first { $0.element.0 != $0.element.1 }?.offset
        let place = offset ?? min(one.count, other.count)
        path = "byte \(place)"
        reason =
            if offset == nil || one.count != other.count {
                "\(one.count) bytes became \(other.count)"
            } else {
                "\(Self.hex(one[place])) became \(Self.hex(other[place]))"
            }
    }

    private static func hex(_ byte: UInt8) -> String {
        let digits = String(byte, radix: 16)
        return "0x" + (digits.count < 2 ? "0" : "") + digits
    }
}

/// Values cut to a length that a line bears: no blob is ever printed.
enum Excerpt {
    static let lengthMax = 60

    static func of(_ value: Value?) -> String {
        guard let value else { return "nothing" }
        let text = value.canonical
        return text.count <= lengthMax ? text : text.prefix(lengthMax - 1) + "…"
    }
}
