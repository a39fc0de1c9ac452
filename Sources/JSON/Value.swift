/// A JSON value.
///
/// Integers that fit `Int64` stay exact; every other number is a `Double`. Key order is not kept:
/// RFC 8259 gives it no meaning, and the canonical form sorts keys anyway.
public enum Value: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case double(Double)
    case string(String)
    case array([Value])
    case object([String: Value])
}

extension Value {
    /// The member named `key`, or `nil` where the value is no object or has no such member.
    public subscript(key: String) -> Value? {
        guard case .object(let members) = self else { return nil }
        return members[key]
    }

    /// The text of a string value.
    public var string: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }

    /// The value as an integer, where it is a whole number that fits.
    public var integer: Int64? {
        switch self {
        case .integer(let number): number
        case .double(let number): Int64(exactly: number)
        default: nil
        }
    }

    /// The value as a floating-point number, where it is a number.
    public var double: Double? {
        switch self {
        case .integer(let number): Double(number)
        case .double(let number): number
        default: nil
        }
    }

    /// The truth value of a boolean.
    public var bool: Bool? {
        guard case .bool(let truth) = self else { return nil }
        return truth
    }

    /// The elements of an array value.
    public var array: [Value]? {
        guard case .array(let elements) = self else { return nil }
        return elements
    }

    /// The members of an object value.
    public var object: [String: Value]? {
        guard case .object(let members) = self else { return nil }
        return members
    }
}

extension Value: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral,
    ExpressibleByFloatLiteral, ExpressibleByNilLiteral
{
    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// An integer.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// A boolean.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// A floating-point number.
    public init(floatLiteral value: Double) { self = .double(value) }
    /// An array.
    public init(arrayLiteral elements: Value...) { self = .array(elements) }
    /// An object; of repeated keys the last one stands.
    public init(dictionaryLiteral elements: (String, Value)...) {
        self = .object(Dictionary(elements) { _, last in last })
    }
    /// The null value.
    public init(nilLiteral: ()) { self = .null }
    /// A whole number, exact up to `Int64.max` and nearest above.
    public init(_ number: some BinaryInteger) {
        self = Int64(exactly: number).map(Value.integer) ?? .double(Double(number))
    }
}
