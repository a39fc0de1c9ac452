import TestSupport
import Testing

@testable import Game24

@Test(
    "Fractions are in lowest terms, the sign above the line",
    arguments: [
        (6, 8, "3/4"), (-6, 8, "-3/4"), (6, -8, "-3/4"), (-6, -8, "3/4"), (0, -5, "0"),
        (7, 7, "1"), (.min, 2, "-4611686018427387904"), (.min, .min, "1"), (.max, .max, "1"),
        (.max, 1, "9223372036854775807"),
    ] as [(Int64, Int64, String)])
func lowestTerms(numerator: Int64, denominator: Int64, text: String) throws {
    #expect(try Rational(numerator, over: denominator).description == text)
}

@Test("What fits in 64 bits is exact, however large what leads there is")
func exactness() throws {
    let large = Rational(.max)
    let small = try Rational(1, over: .max)
    #expect(try large.multiplied(by: small) == Rational(1))
    #expect(try small.divided(by: small) == Rational(1))
    #expect(try large.subtracting(large) == Rational(0))
    let third = try Rational(1, over: 3)
    #expect(try third.adding(third).adding(third) == Rational(1))
    // 8 / (3 - 8/3): the puzzle that floating point misses.
    let eight = Rational(8)
    let three = Rational(3)
    #expect(
        try eight.divided(by: three.subtracting(eight.divided(by: three))) == Rational(24))
}

@Test("What does not fit is an overflow, and a zero below the line an error of its own")
func arithmeticErrors() throws {
    let large = Rational(.max)
    let small = try Rational(1, over: .max)
    #expect(throws: ArithmeticError.overflow) { try large.adding(Rational(1)) }
    #expect(throws: ArithmeticError.overflow) { try large.multiplied(by: Rational(2)) }
    #expect(throws: ArithmeticError.overflow) { try Rational(.min).subtracting(Rational(1)) }
    #expect(throws: ArithmeticError.overflow) { try small.divided(by: Rational(2)) }
    #expect(throws: ArithmeticError.overflow) { try Rational(1, over: .min) }
    #expect(throws: ArithmeticError.overflow) { try Rational(.min).multiplied(by: Rational(-1)) }
    #expect(throws: ArithmeticError.overflow) {
        try small.adding(try Rational(1, over: .max - 1))
    }
    #expect(throws: ArithmeticError.divisionByZero) { try large.divided(by: Rational(0)) }
    #expect(throws: ArithmeticError.divisionByZero) { try Rational(0, over: 0) }
}

@Test("Arithmetic keeps its laws, and order agrees with it")
func laws() throws {
    var generator = SeededGenerator(seed: 24)
    func draw() throws -> Rational {
        try Rational(
            .random(in: -1_000...1_000, using: &generator),
            over: .random(in: 1...1_000, using: &generator))
    }
    for _ in 0..<500 {
        let (a, b, c) = (try draw(), try draw(), try draw())
        #expect(try a.adding(b) == b.adding(a))
        #expect(try a.adding(b).subtracting(b) == a)
        #expect(
            try a.multiplied(by: b.adding(c))
                == a.multiplied(by: b).adding(a.multiplied(by: c)))
        if b != Rational(0) { #expect(try a.divided(by: b).multiplied(by: b) == a) }
        #expect((a < b) == (try a.subtracting(b) < Rational(0)))
    }
    #expect(try Rational(.max - 1, over: .max) < Rational(1))
    #expect(Rational(.min) < Rational(.max))
}

@Test(
    "An expression is written with the fewest parentheses, and read again as what it was",
    arguments: [
        "1", "1+2", "1-2-3", "1-(2-3)", "1+(2+3)", "(1+2)*3", "1*2+3", "1/2/3", "1/(2/3)",
        "1*(2*3)", "8/(3-8/3)", "((1+2)*3-4)*5", "1-(2+3)*4", "(1-2)/(3-4)",
    ])
func texts(text: String) throws {
    let expression = try #require(Expression(text))
    #expect(expression.description == text)
}

@Test("Random expressions survive being written and read")
func randomTexts() throws {
    var generator = SeededGenerator(seed: 7)
    func draw(_ depth: Int) -> Expression {
        if depth == 0 || Int.random(in: 0..<4, using: &generator) == 0 {
            return .number(.random(in: 0...13, using: &generator))
        }
        let operation = Operator.allCases.randomElement(using: &generator) ?? .plus
        return .operation(operation, draw(depth - 1), draw(depth - 1))
    }
    for _ in 0..<500 {
        let expression = draw(5)
        #expect(Expression(expression.description) == expression)
    }
}

@Test(
    "What is no expression is refused",
    arguments: [
        "", " ", "1+", "+1", "-1", "1 + 2", "(1+2", "1+2)", "()", "1++2", "a", "1.5", "1//2",
        "99999999999999999999", "1\u{0}", "٣",
    ])
func notExpressions(text: String) {
    #expect(Expression(text) == nil)
}

@Test("A text that is too long, or nested as deep as it can be, is refused and harms nobody")
func longTexts() {
    #expect(Expression(String(repeating: "1+", count: 600) + "1") == nil)
    #expect(Expression(String(repeating: "(", count: Expression.lengthMax)) == nil)
    let deep = (Expression.lengthMax - 1) / 2
    let nested = String(repeating: "(", count: deep) + "1" + String(repeating: ")", count: deep)
    #expect(Expression(nested) == .number(1))
}
