import JSON
import Testing

@testable import AgentRuntime

@Test(
    "Arguments that no load can follow are refused by name",
    arguments: [
        ([:], "'count'"), (["count": -1], "'count'"), (["count": 1.5], "'count'"),
        (["count": "ten"], "'count'"), (["count": 1, "rate": -2], "'rate'"),
        (["count": 1, "rate": "fast"], "'rate'"), (["count": 1, "rate": 1e9], "'rate'"),
        (["count": 1, "start": -1], "'start'"), (["duration_ms": 2_000_000_000], "'duration_ms'"),
    ] as [(Value, String)])
func refusedOrders(arguments: Value, word: String) throws {
    let error = try #require(throws: LoadError.self) { try LoadOrder(arguments) }
    #expect(error.description.contains(word))
}

@Test(
    "A rate of 0, or none, is as fast as there is room",
    arguments: [
        ["count": 3], ["count": 3, "rate": 0], ["count": 3, "rate": nil],
    ] as [Value])
func unpaced(arguments: Value) throws {
    var schedule = LoadSchedule(try LoadOrder(arguments), began: 100)
    for index in 0..<3 {
        #expect(schedule.index == index && schedule.nextDue == 100)
        #expect(!schedule.isFinished(at: 200))
        schedule.advance()
    }
    #expect(schedule.isFinished(at: 200))
}

@Test("The schedule is absolute: message k is due k intervals after the beginning, late or not")
func absoluteSchedule() throws {
    var schedule = LoadSchedule(try LoadOrder(["count": 1_000, "rate": 3]), began: 1_000)
    for index in 0..<1_000 {
        #expect(schedule.nextDue == 1_000 + UInt64(Double(index) / 3 * 1e9))
        schedule.advance()
    }
}

@Test("A load by time ends when its time is up, whatever was sent")
func timed() throws {
    var schedule = LoadSchedule(
        try LoadOrder(["duration_ms": 10, "rate": 100]), began: 1_000_000)
    #expect(!schedule.isFinished(at: 10_999_999) && schedule.isFinished(at: 11_000_000))
    schedule.advance()
    schedule.advance()
    // The next message would be due after the end.
    #expect(min(schedule.nextDue, schedule.end) == 11_000_000)
}

@Test("What is left of a load goes on numbering where it stopped, with all its other arguments")
func remainder() throws {
    let order = try LoadOrder(["count": 10, "start": 5, "rate": 2, "type": "ping"])
    var schedule = LoadSchedule(order, began: 0)
    for _ in 0..<4 { schedule.advance() }
    #expect(schedule.index == 9)
    #expect(
        schedule.remainder(at: 0) == ["count": 6, "start": 9, "rate": 2, "type": "ping"])
    let timed = LoadSchedule(try LoadOrder(["duration_ms": 50]), began: 0)
    #expect(timed.remainder(at: 20_000_000) == ["duration_ms": 30, "start": 0])
    #expect(timed.remainder(at: 90_000_000) == ["duration_ms": 0, "start": 0])
}

@Test("Seeds follow from the run's seed and the labels, and every part counts")
func seeds() {
    #expect(Seed.derived(from: 1, "a", index: 2) == Seed.derived(from: 1, "a", index: 2))
    let all = [
        Seed.derived(from: 1), Seed.derived(from: 2), Seed.derived(from: 1, "a"),
        Seed.derived(from: 1, "b"), Seed.derived(from: 1, "a", index: 1),
        Seed.derived(from: 1, "ab", "c"), Seed.derived(from: 1, "a", "bc"),
        Seed.derived(from: 1, "abc"), Seed.derived(from: 1, "", "abc"),
    ]
    #expect(Set(all).count == all.count)
    // What follows from a seed must not change from version to version.
    #expect(Seed.derived(from: 42, "camera", index: 7) == 16_768_628_949_371_606_834)
}
