/// A decimal number with a unit, as people write it in files and on command lines, in whole parts of
/// the smallest unit.
public struct Quantity: Sendable {
    /// In nanoseconds, or bytes.
    public let value: Int

    /// The units of time, in nanoseconds.
    public static let durations: [(unit: String, factor: Int)] = [
        ("us", 1_000), ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000),
        ("h", 3_600_000_000_000), ("d", 86_400_000_000_000),
    ]

    /// The units of size, in bytes.
    public static let sizes: [(unit: String, factor: Int)] = [
        ("B", 1), ("kB", 1_000), ("KB", 1_000), ("MB", 1_000_000), ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ]

    /// `nil` where the text is no number with one of the units, or too large to count.
    ///
    /// - Parameters:
    ///   - text: A number, perhaps with a fraction, then perhaps spaces, then the unit.
    ///   - units: Each with how much of the smallest it is.
    public init?(_ text: String, units: [(unit: String, factor: Int)]) {
        let bytes = Array(text.utf8)
        let whole = bytes.prefix(while: Self.isDigit)
        var rest = bytes.dropFirst(whole.count)
        var fraction: ArraySlice<UInt8> = []
        if rest.first == UInt8(ascii: ".") {
            fraction = rest.dropFirst().prefix(while: Self.isDigit)
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

    /// A time with its unit: `5s`, `1.5s`, `100ms`, `250us`, `2m`, `1h`, `30d`; nil where it is none.
    public static func duration(_ text: String) -> Duration? {
        Quantity(text, units: durations).map { .nanoseconds($0.value) }
    }

    /// A number of bytes with its unit: `16MB` is 16,000,000, `8MiB` is 8,388,608; nil where it is none.
    public static func bytes(_ text: String) -> Int? { Quantity(text, units: sizes)?.value }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// A size in the largest unit that it is a whole number of.
    public static func describe(bytes: Int) -> String {
        let units = sizes.filter { $0.unit != "KB" && $0.factor > 1 }
        let unit =
            units.filter { bytes > 0 && bytes.isMultiple(of: $0.factor) }
            .max { $0.factor < $1.factor }
        guard let unit else { return bytes == 1 ? "1 byte" : "\(bytes) bytes" }
        return "\(bytes / unit.factor)\(unit.unit)"
    }

    /// A duration in the largest unit that it is a whole number of.
    public static func describe(_ duration: Duration) -> String {
        let nanoseconds = duration / .nanoseconds(1)
        guard nanoseconds > 0 else { return "0s" }
        for (unit, factor) in durations.reversed() {
            let count = nanoseconds / Double(factor)
            if count >= 1, count == count.rounded() { return "\(Int(count))\(unit)" }
        }
        return "\(Int(nanoseconds))ns"
    }
}
