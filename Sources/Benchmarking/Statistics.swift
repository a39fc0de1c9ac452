internal import Foundation

/// The few figures that a series of runs is told by.
enum Statistics {
    /// The middle value, or the mean of the two in the middle; 0 of nothing.
    static func median(_ values: [Double]) -> Double {
        guard !values.isEmpty else { return 0 }
        let sorted = values.sorted()
        let middle = sorted.count / 2
        return sorted.count.isMultiple(of: 2)
            ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }

    /// Half of what lies between least and greatest, as a share of the median.
    static func spread(_ values: [Double]) -> Double {
        guard let least = values.min(), let greatest = values.max() else { return 0 }
        let median = median(values)
        return median == 0 ? 0 : (greatest - least) / 2 / median
    }

    /// Three significant digits; thousands as `12,300`.
    static func text(_ value: Double) -> String {
        guard value.isFinite else { return "-" }
        if abs(value) >= 1_000 {
            return Int(value.rounded()).formatted(.number.locale(Locale(identifier: "en_US")))
        }
        let digits = abs(value) >= 100 ? 0 : abs(value) >= 10 ? 1 : 2
        let text = String(format: "%.\(digits)f", value)
        // 0.90 and 5.00 are written as people write them.
        guard text.contains(".") else { return text }
        let trimmed = text.reversed().drop { $0 == "0" }
        return String((trimmed.first == "." ? trimmed.dropFirst() : trimmed).reversed())
    }
}
