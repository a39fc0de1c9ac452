import Testing

@testable import SharedMemory

@Suite("Pools: loans and readings")
struct PoolTests {
    @Test("What is published is read where it lies, by another opening too")
    func roundTrip() throws {
        let pool = try TestPool()
        let writer = try pool.open()
        let reader = try pool.open()
        let reference = try writer.publish(7, count: 10_000, readers: 2)
        #expect(reference.size == 10_000)
        #expect(reference.digest != nil)
        #expect(try reader.bytes(reference) == [UInt8](repeating: 7, count: 10_000))
        #expect(try writer.bytes(reference) == [UInt8](repeating: 7, count: 10_000))
        let status = try pool.segment.status()
        #expect(status.inUse == 0)
        #expect(status.loans == 1)
        #expect(status.reads == 2)
    }
}
