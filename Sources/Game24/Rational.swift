/// Why a number cannot be computed.
public enum ArithmeticError: Error, Hashable, Sendable {
    /// The result needs more than 64 bits above or below the line.
    case overflow
    /// Something was to be divided by zero.
    case divisionByZero
}

/// An exact fraction in lowest terms, its denominator positive.
///
/// Computes in 128 bits and then looks whether the reduced result fits in 64: what fits is exact,
/// what does not is an error, never another number.
public struct Rational: Hashable, Sendable {
    /// Above the line, with the sign.
    public let numerator: Int64
    /// Below the line, at least 1.
    public let denominator: Int64

    /// A whole number.
    public init(_ integer: Int64) {
        numerator = integer
        denominator = 1
    }

    /// The quotient of two whole numbers.
    public init(_ numerator: Int64, over denominator: Int64) throws(ArithmeticError) {
        try self.init(reducing: Int128(numerator), over: Int128(denominator))
    }

    /// The greatest magnitudes that come in are products of two 64-bit numbers, or a sum of two such
    /// products: less than 2^127.
    private init(
        reducing numerator: Int128, over denominator: Int128
    ) throws(ArithmeticError) {
        guard denominator != 0 else { throw .divisionByZero }
        var (divisor, rest) = (numerator.magnitude, denominator.magnitude)
        while rest != 0 { (divisor, rest) = (rest, divisor % rest) }
        let sign: Int128 = denominator < 0 ? -1 : 1
        let common = Int128(divisor)
        guard let above = Int64(exactly: numerator / common * sign),
            let below = Int64(exactly: denominator / common * sign)
        else { throw .overflow }
        self.numerator = above
        self.denominator = below
    }

    /// Whether it has no fraction.
    public var isWhole: Bool { denominator == 1 }

    /// The sum.
    public func adding(_ other: Rational) throws(ArithmeticError) -> Rational {
        try Rational(
            reducing: Int128(numerator) * Int128(other.denominator)
                + Int128(other.numerator) * Int128(denominator),
            over: Int128(denominator) * Int128(other.denominator))
    }

    /// The difference.
    public func subtracting(_ other: Rational) throws(ArithmeticError) -> Rational {
        try Rational(
            reducing: Int128(numerator) * Int128(other.denominator)
                - Int128(other.numerator) * Int128(denominator),
            over: Int128(denominator) * Int128(other.denominator))
    }

    /// The product.
    public func multiplied(by other: Rational) throws(ArithmeticError) -> Rational {
        try Rational(
            reducing: Int128(numerator) * Int128(other.numerator),
            over: Int128(denominator) * Int128(other.denominator))
    }

    /// The quotient.
    public func divided(by other: Rational) throws(ArithmeticError) -> Rational {
        try Rational(
            reducing: Int128(numerator) * Int128(other.denominator),
            over: Int128(denominator) * Int128(other.numerator))
    }
}

extension Rational: Comparable {
    /// By value.
    public static func < (left: Rational, right: Rational) -> Bool {
        Int128(left.numerator) * Int128(right.denominator)
            < Int128(right.numerator) * Int128(left.denominator)
    }
}

extension Rational: CustomStringConvertible {
    /// `8/3`, or `8`.
    public var description: String {
        isWhole ? String(numerator) : "\(numerator)/\(denominator)"
    }
}
