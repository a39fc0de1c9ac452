extension Reading where Value == Duration {
    /// A time with its unit: `5s`, `1.5s`, `100ms`, `250us`, `2m`, `1h`.
    public static func duration(
        in range: ClosedRange<Duration> = .zero ... .seconds(7 * 86_400)
    ) -> Reading<Duration> {
        let expected = "a duration, such as 5s or 100ms"
        return Reading(expected, example: "5s") { node, diagnostics in
            guard case .scalar(let scalar, let text) = node.content, scalar != .null else {
                diagnostics.expected(expected, found: node)
                return nil
            }
            guard let quantity = Quantity(text, units: Quantity.durations) else {
                let isNumber = Quantity(text, units: [("", 1)]) != nil
                diagnostics.expected(
                    expected, found: node,
                    help: isNumber
                        ? "add a unit: \(text)s or \(text)ms"
                        : "the units are " + Quantity.durations.map(\.unit).joined(separator: ", "))
                return nil
            }
            return diagnostics.inRange(
                .nanoseconds(quantity.value), range, node, text,
                naming: Quantity.describe(_:))
        }
    }
}

extension Reading where Value == Int {
    /// A number of bytes: `16MB` is 16,000,000, `8MiB` is 8,388,608, `512` is 512.
    public static func byteSize(in range: ClosedRange<Int> = 0...(1 << 50)) -> Reading<Int> {
        let expected = "a size in bytes, such as 16MB or 8MiB"
        return Reading(expected, example: "16MB") { node, diagnostics in
            guard case .scalar(let scalar, let text) = node.content, scalar != .null else {
                diagnostics.expected(expected, found: node)
                return nil
            }
            if case .integer(let count) = scalar {
                return diagnostics.inRange(
                    Int(count), range, node, text, naming: Quantity.describe(bytes:))
            }
            guard let quantity = Quantity(text, units: Quantity.sizes) else {
                let units = Quantity.sizes.map(\.unit)
                let written = String(text.drop { $0.isNumber || $0 == "." || $0 == " " })
                let meant =
                    units.first { $0.lowercased() == written.lowercased() }
                    ?? Suggestion.nearest(to: written, among: units)
                let number = text.prefix { $0.isNumber || $0 == "." }
                diagnostics.expected(
                    expected, found: node,
                    help: meant.map { "did you mean \(Diagnostic.quote(number + $0))?" }
                        ?? "the units are " + units.filter { $0 != "KB" }.joined(separator: ", "))
                return nil
            }
            return diagnostics.inRange(
                quantity.value, range, node, text, naming: Quantity.describe(bytes:))
        }
    }
}

extension Reading where Value == Double {
    /// A share: `10%` is 10.
    public static func percentage(in range: ClosedRange<Double>) -> Reading<Double> {
        let expected = "a percentage, such as 10%"
        return Reading(expected, example: "10%") { node, diagnostics in
            guard case .scalar(_, let text) = node.content, text.hasSuffix("%"),
                let number = Double(text.dropLast()), range.contains(number)
            else {
                diagnostics.expected(
                    expected, found: node,
                    help: "between \(range.lowerBound)% and \(range.upperBound)%")
                return nil
            }
            return number
        }
    }
}

/// A decimal number with a unit, in whole parts of the smallest unit.
private struct Quantity {
    let value: Int

    static let durations: [(unit: String, factor: Int)] = [
        ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ]

    static let sizes: [(unit: String, factor: Int)] = [
        ("B", 1), ("kB", 1_000), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ]

    /// `nil` where the text is no number with one of the units, or too large to count.
    init?(_ text: String, units: [(unit: String, factor: Int)]) {
        let bytes = Array(text.utf8)
        let whole = bytes.prefix(while: \.isDigit)
        var rest = bytes.dropFirst(whole.count)
        var fraction: ArraySlice<UInt8> = []
        if rest.first == UInt8(ascii: ".") {
            fraction = rest.dropFirst().prefix(while: \.isDigit)
            guard !fraction.isEmpty else { return nil }
            rest = rest.dropFirst(fraction.count + 1)
        }
        let unit = String(decoding: rest.drop { $0 == UInt8(ascii: " ") }, as: UTF8.self)
        guard let factor = units.first(where: { $0.unit == unit })?.factor,
            let number = Int(String(decoding: whole, as: UTF8.self))
        else { return nil }
        let (product, isOverflow) = number.multipliedReportingOverflow(by: factor)
        guard !isOverflow else { return nil }
        // Digit by digit, so that 0.1 of a unit is exact.
        var (part, scale) = (0, factor)
        for digit in fraction {
            scale /= 10
            part += Int(digit - 0x30) * scale
        }
        let (sum, isSumOverflow) = product.addingReportingOverflow(part)
        guard !isSumOverflow else { return nil }
        value = sum
    }

    /// A size in the largest unit that it is a whole number of.
    static func describe(bytes: Int) -> String {
        let units = sizes.filter { $0.unit != "KB" && $0.factor > 1 }
        let unit =
            units.filter { bytes > 0 && bytes.isMultiple(of: $0.factor) }
            .max { $0.factor < $1.factor }
        guard let unit else { return bytes == 1 ? "1 byte" : "\(bytes) bytes" }
        return "\(bytes / unit.factor)\(unit.unit)"
    }

    /// A duration in the largest unit that it is a whole number of.
    static func describe(_ duration: Duration) -> String {
        let nanoseconds = duration / .nanoseconds(1)
        guard nanoseconds > 0 else { return "0s" }
        for (unit, factor) in durations.reversed() {
            let count = nanoseconds / Double(factor)
            if count >= 1, count == count.rounded() { return "\(Int(count))\(unit)" }
        }
        return "\(Int(nanoseconds))ns"
    }
}
