import Testing

@testable import Quantities

@Suite("Numbers with units")
struct QuantityTests {
    @Test(
        "times are exact to the nanosecond, in every unit",
        arguments: [
            ("5s", 5_000_000_000), ("1.5s", 1_500_000_000), ("0.1ms", 100_000), ("250 us", 250_000),
            ("2m", 120_000_000_000), ("1h", 3_600_000_000_000), ("30d", 2_592_000_000_000_000),
            ("0s", 0),
        ])
    func durations(text: String, nanoseconds: Int) {
        #expect(Quantity.duration(text) == .nanoseconds(nanoseconds))
    }

    @Test(
        "what is no time is none",
        arguments: ["", "5", "s", "-1s", "1.s", ".5s", "1e3s", "5min", "5S", "1s ", "99999999999h"])
    func noDurations(text: String) {
        #expect(Quantity.duration(text) == nil)
    }

    @Test(
        "sizes in powers of ten and of two",
        arguments: [("16MB", 16_000_000), ("8MiB", 8 << 20), ("1.5kB", 1_500), ("7B", 7)])
    func sizes(text: String, bytes: Int) {
        #expect(Quantity.bytes(text) == bytes)
    }

    @Test("both are described in the largest unit that fits")
    func descriptions() {
        #expect(Quantity.describe(.seconds(7 * 86_400)) == "7d")
        #expect(Quantity.describe(.milliseconds(1_500)) == "1500ms")
        #expect(Quantity.describe(bytes: 8 << 20) == "8MiB")
        #expect(Quantity.describe(bytes: 1) == "1 byte")
    }
}
