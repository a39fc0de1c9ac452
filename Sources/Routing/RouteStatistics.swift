/// Who sent how much to whom, as the seed's routing report counts it.
struct RouteStatistics {
    struct Row: Hashable {
        let source: String
        let destination: String
        var count = 0
        var bytes = 0
    }

    /// Names beyond this many share one row: a stranger's imagination must not fill memory.
    static let namesMax = 10_000
    private static let otherName = "(other)"

    private var names: [String] = [otherName]
    private var numbers: [[UInt8]: Int] = [:]
    private var routes = RouteTable()

    private(set) var messages = 0
    private(set) var bytes = 0

    /// The number that stands for a name in `count`.
    mutating func number(of name: [UInt8]) -> Int {
        if let number = numbers[name] { return number }
        guard names.count < Self.namesMax else { return 0 }
        numbers[name] = names.count
        names.append(String(decoding: name, as: UTF8.self))
        return names.count - 1
    }

    /// Counts a message, or those of a batch.
    mutating func count(
        from source: Int, to destination: Int, bytes: Int, messages count: Int = 1
    ) {
        messages += count
        self.bytes += bytes
        routes.count(UInt64(source) << 32 | UInt64(destination), bytes, messages: count)
    }

    /// Every route, most frequent first, equal ones by name.
    var rows: [Row] {
        routes.entries.filter { $0.count > 0 }.map { entry in
            Row(
                source: names[Int(entry.key >> 32)],
                destination: names[Int(entry.key & 0xFFFF_FFFF)],
                count: entry.count, bytes: entry.bytes)
        }.sorted {
            ($1.count, $0.source, $0.destination) < ($0.count, $1.source, $1.destination)
        }
    }

    /// The seed's routing report.
    ///
    /// - Parameters:
    ///   - title: Whose report it is.
    ///   - deadLetters: What could not be delivered, by reason.
    /// - Returns: The report's lines.
    func report(title: String, deadLetters: [(reason: String, count: Int)]) -> [String] {
        let rule = String(repeating: "=", count: 70)
        var lines = [
            rule, "Routing Report - \(title)", "Total Messages: \(Self.grouped(messages))",
            "Total Bytes: \(Self.grouped(bytes)) (\(Self.decimal(bytes, per: 1 << 20, digits: 2)) MB)",
            rule,
        ]
        for row in rows {
            let route = Self.left("\(row.source) -> \(row.destination)", width: 40)
            let count = Self.right(String(row.count), width: 6)
            let share = Self.right(
                Self.decimal(row.count * 100, per: max(messages, 1), digits: 1), width: 5)
            lines.append(
                "\(route) \(count) msgs (\(share)%) \(Self.right(String(row.bytes), width: 10)) bytes"
            )
        }
        if !deadLetters.isEmpty {
            let total = deadLetters.reduce(0) { $0 + $1.count }
            let reasons = deadLetters.map { "\($0.reason) \(Self.grouped($0.count))" }
            lines.append(
                "Dead Letters: \(Self.grouped(total)) (\(reasons.joined(separator: ", ")))")
        }
        return lines
    }

    private static func grouped(_ number: Int) -> String {
        let digits = Array(String(number).utf8)
        var text: [UInt8] = []
        for (index, digit) in digits.enumerated() {
            if index > 0, (digits.count - index) % 3 == 0 { text.append(UInt8(ascii: ",")) }
            text.append(digit)
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// `number / divisor`, rounded to this many digits.
    private static func decimal(_ number: Int, per divisor: Int, digits: Int) -> String {
        let scale = digits == 1 ? 10 : 100
        let whole = number / divisor
        let scaled = whole * scale + ((number % divisor) * scale * 2 + divisor) / (2 * divisor)
        let fraction = String(scaled % scale)
        let zeros = String(repeating: "0", count: digits - fraction.utf8.count)
        return "\(scaled / scale).\(zeros)\(fraction)"
    }

    private static func left(_ text: String, width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.utf8.count))
    }

    private static func right(_ text: String, width: Int) -> String {
        String(repeating: " ", count: max(0, width - text.utf8.count)) + text
    }
}

/// Counts by route: open addressing with linear probing, one look for each message.
struct RouteTable {
    struct Entry {
        var key: UInt64 = 0
        /// Zero where the place is free.
        var count = 0
        var bytes = 0
    }

    private(set) var entries = [Entry](repeating: Entry(), count: 64)
    private var used = 0

    /// Counts a message, or those of a batch.
    mutating func count(_ key: UInt64, _ bytes: Int, messages: Int = 1) {
        let index = place(of: key)
        if entries[index].count == 0 {
            entries[index].key = key
            used += 1
        }
        entries[index].count += messages
        entries[index].bytes += bytes
        if used * 2 > entries.count { grow() }
    }

    private func place(of key: UInt64) -> Int {
        let mask = entries.count - 1
        // Fibonacci hashing: the numbers of sources and destinations are small and dense.
        var index = Int(truncatingIfNeeded: (key &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
        while entries[index].count > 0, entries[index].key != key { index = (index + 1) & mask }
        return index
    }

    private mutating func grow() {
        let former = entries
        entries = Array(repeating: Entry(), count: former.count * 2)
        for entry in former where entry.count > 0 { entries[place(of: entry.key)] = entry }
    }
}
