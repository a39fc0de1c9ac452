internal import Glibc

/// A compiled regular expression.
///
/// Sendable by hand: what it points to is written by `init` alone, read by `regexec`, which glibc
/// allows from any thread, and freed when nobody refers to it any more.
final class LinePattern: @unchecked Sendable {
    let index: Int
    private let expression: UnsafeMutablePointer<regex_t>

    /// Nil where the text is no extended regular expression.
    init?(_ text: String, index: Int) {
        let compiled = UnsafeMutablePointer<regex_t>.allocate(capacity: 1)
        guard regcomp(compiled, text, REG_EXTENDED | REG_NOSUB) == 0 else {
            compiled.deallocate()
            return nil
        }
        self.index = index
        expression = compiled
    }

    deinit {
        regfree(expression)
        expression.deallocate()
    }

    /// Whether it is found in a line, which ends with a zero.
    func matches(_ line: [CChar]) -> Bool { regexec(expression, line, 0, nil, 0) == 0 }
}

/// Looks for patterns in the lines of a stream, until each was found once.
struct LineWatch {
    /// How much of one line is looked at.
    private static let lineLimit = 16_384

    private var patterns: [LinePattern]
    private let found: @Sendable (Int) -> Void
    private var partial: [CChar] = []

    init(_ patterns: [LinePattern], found: @escaping @Sendable (Int) -> Void) {
        self.patterns = patterns
        self.found = found
    }

    mutating func take(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while !patterns.isEmpty, let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
            append(rest[..<end])
            check()
            rest = rest[(end + 1)...]
        }
        if !patterns.isEmpty { append(rest) }
    }

    /// The last line, when it has no end.
    mutating func finish() { if !partial.isEmpty { check() } }

    private mutating func append(_ bytes: Slice<UnsafeRawBufferPointer>) {
        let room = Self.lineLimit - partial.count
        // A zero ends a line for `regexec`: it is looked at as a space.
        partial += bytes.prefix(max(room, 0)).map { $0 == 0 ? 32 : CChar(bitPattern: $0) }
    }

    private mutating func check() {
        partial.append(0)
        for pattern in patterns where pattern.matches(partial) {
            found(pattern.index)
            patterns.removeAll { $0 === pattern }
        }
        partial.removeAll(keepingCapacity: true)
    }
}
