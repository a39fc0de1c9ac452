import Histogram
import JSON

/// Latencies in nanoseconds, to three digits and however long the longest, after Gil Tene's
/// HdrHistogram.
///
/// What is recorded must be counted from the time at which a message was due: a sender that is held up
/// sends late, and counting from then would leave out just the messages that were late (coordinated
/// omission).
struct Latencies {
    private var histogram = Histogram<UInt64>(
        highestTrackableValue: 60_000_000_000, numberOfSignificantValueDigits: .three)
    /// The longest, as it was.
    private var longest: UInt64 = 0

    /// Counts one; what took longer than a minute is counted as a minute.
    mutating func record(_ nanoseconds: UInt64) {
        longest = max(longest, nanoseconds)
        histogram.record(min(nanoseconds, 60_000_000_000))
    }

    /// How many there are.
    var count: UInt64 { histogram.totalCount }

    /// The value that so many percent of all do not exceed, in microseconds.
    func microseconds(at percentile: Double) -> Double {
        count == 0 ? .nan : Double(histogram.valueAtPercentile(percentile)) / 1_000
    }

    /// The longest, in microseconds.
    var microsecondsMax: Double { count == 0 ? .nan : Double(longest) / 1_000 }

    /// Each bucket that holds something, by the middle of its values: whoever adds those of several
    /// agents loses nothing.
    var json: Value {
        [
            "count": Value(count),
            "buckets": .array(
                histogram.recordedValues().map { bucket in
                    [Value(histogram.medianEquivalentForValue(bucket.value)), Value(bucket.count)]
                }),
        ]
    }
}

/// When a message was due, as the first member of its content: `{"due":NANOSECONDS,`.
enum DueTime {
    private static let start = Array(#"{"due":"#.utf8)

    static func written(_ due: UInt64) -> String { #"{"due":\#(due),"# }

    /// The time that a content begins with; nil where it says none.
    static func read(_ content: UnsafeRawBufferPointer) -> UInt64? {
        guard content.starts(with: start) else { return nil }
        var (number, digits): (UInt64, Int) = (0, 0)
        for byte in content[start.count...] {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte), digits < 19 else {
                return byte == UInt8(ascii: ",") && digits > 0 ? number : nil
            }
            number = number * 10 + UInt64(byte - UInt8(ascii: "0"))
            digits += 1
        }
        return nil
    }
}
