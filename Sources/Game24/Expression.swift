/// How two numbers become one.
public enum Operator: Character, Hashable, Sendable, CaseIterable {
    case plus = "+"
    case minus = "-"
    case times = "*"
    case over = "/"

    /// The result, exactly.
    public func callAsFunction(
        _ left: Rational, _ right: Rational
    ) throws(ArithmeticError) -> Rational {
        switch self {
        case .plus: try left.adding(right)
        case .minus: try left.subtracting(right)
        case .times: try left.multiplied(by: right)
        case .over: try left.divided(by: right)
        }
    }

    fileprivate var bindsTightly: Bool { self == .times || self == .over }
}

/// Numbers joined by the four operators.
public indirect enum Expression: Hashable, Sendable {
    case number(Int64)
    case operation(Operator, Expression, Expression)

    /// What it comes to, exactly.
    public func value() throws(ArithmeticError) -> Rational {
        switch self {
        case .number(let number): return Rational(number)
        case .operation(let operation, let left, let right):
            return try operation(try left.value(), try right.value())
        }
    }

    /// The numbers in it, from left to right.
    public var numbers: [Int64] {
        switch self {
        case .number(let number): [number]
        case .operation(_, let left, let right): left.numbers + right.numbers
        }
    }
}

extension Expression: CustomStringConvertible {
    /// With the fewest parentheses from which the same expression is read again: `(1+2)*3/4`.
    public var description: String {
        switch self {
        case .number(let number): return String(number)
        case .operation(let operation, let left, let right):
            let first = left.text(inside: operation, isRight: false)
            let second = right.text(inside: operation, isRight: true)
            return "\(first)\(operation.rawValue)\(second)"
        }
    }

    private func text(inside outer: Operator, isRight: Bool) -> String {
        guard case .operation(let inner, _, _) = self else { return description }
        // From the left operators of one kind bind by themselves: 1-2-3 is (1-2)-3.
        let isBound =
            inner.bindsTightly && !outer.bindsTightly
            || inner.bindsTightly == outer.bindsTightly && !isRight
        return isBound ? description : "(\(description))"
    }
}

extension Expression {
    /// Longer texts are refused.
    public static let lengthMax = 1_000

    /// Reads what `description` writes: whole numbers without a sign, the four operators and
    /// parentheses, nothing else; nil for anything else.
    public init?(_ text: String) {
        guard text.utf8.count <= Self.lengthMax else { return nil }
        var parser = ExpressionParser(bytes: Array(text.utf8))
        guard let expression = parser.sum(), parser.isAtEnd else { return nil }
        self = expression
    }
}

private struct ExpressionParser {
    let bytes: [UInt8]
    private var position = 0

    init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    var isAtEnd: Bool { position == bytes.count }

    mutating func sum() -> Expression? {
        chain(of: [.plus, .minus]) { $0.product() }
    }

    private mutating func product() -> Expression? {
        chain(of: [.times, .over]) { $0.operand() }
    }

    private mutating func chain(
        of operators: [Operator], _ part: (inout ExpressionParser) -> Expression?
    ) -> Expression? {
        guard var left = part(&self) else { return nil }
        while let operation = operators.first(where: { take($0.rawValue) }) {
            guard let right = part(&self) else { return nil }
            left = .operation(operation, left, right)
        }
        return left
    }

    // As deep as there are parentheses, which `lengthMax` bounds.
    private mutating func operand() -> Expression? {
        if take("(") {
            guard let inner = sum(), take(")") else { return nil }
            return inner
        }
        let start = position
        while position < bytes.count, (0x30...0x39).contains(bytes[position]) { position += 1 }
        let digits = String(decoding: bytes[start..<position], as: UTF8.self)
        return Int64(digits).map(Expression.number)
    }

    private mutating func take(_ character: Character) -> Bool {
        guard position < bytes.count, bytes[position] == character.asciiValue else { return false }
        position += 1
        return true
    }
}
