internal import Quantities

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
