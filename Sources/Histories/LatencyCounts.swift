internal import Histogram
internal import JSON

/// Latencies in nanoseconds to two digits, however many there are; those of several add up.
///
/// Gil Tene's HdrHistogram (http://hdrhistogram.org).
public struct LatencyCounts: Sendable {
    /// What took longer is counted as this long.
    private static let highest: UInt64 = 3_600_000_000_000

    private var histogram = Histogram<UInt64>(
        highestTrackableValue: LatencyCounts.highest, numberOfSignificantValueDigits: .two)
    /// The longest, as it was.
    public private(set) var longest: UInt64 = 0

    /// None.
    public init() {}

    /// How many there are.
    public var count: UInt64 { histogram.totalCount }

    /// Counts one.
    public mutating func record(_ nanoseconds: UInt64) {
        if nanoseconds > longest { longest = nanoseconds }
        histogram.record(min(nanoseconds, Self.highest))
    }

    /// Adds others.
    public mutating func add(_ other: LatencyCounts) {
        longest = max(longest, other.longest)
        for bucket in other.histogram.recordedValues() {
            histogram.record(
                min(other.histogram.medianEquivalentForValue(bucket.value), Self.highest),
                count: bucket.count)
        }
    }

    /// The value that so many percent of all do not exceed, in nanoseconds; nil of none.
    public func nanoseconds(at percentile: Double) -> UInt64? {
        count == 0 ? nil : min(histogram.valueAtPercentile(percentile), longest)
    }

    /// As it is kept in a file: the longest, then pairs of a value and how many there are.
    var json: Value {
        .array(
            [Value(longest)]
                + histogram.recordedValues().map { bucket in
                    [Value(histogram.medianEquivalentForValue(bucket.value)), Value(bucket.count)]
                })
    }

    /// Reads what `json` wrote.
    init?(json: Value) {
        guard let members = json.array, let longest = members.first?.integer, longest >= 0 else {
            return nil
        }
        self.longest = UInt64(longest)
        for member in members.dropFirst() {
            guard let pair = member.array, pair.count == 2, let value = pair[0].integer,
                let count = pair[1].integer, value >= 0, count > 0
            else { return nil }
            histogram.record(min(UInt64(value), Self.highest), count: UInt64(count))
        }
    }
}
