import Glibc
import Testing

@testable import Scenarios

@Suite("Samples of memory")
struct MemorySamplerTests {
    private static let size = 64 << 20
    /// The kernel counts pages in portions for each thread, and other tests' threads may be about.
    private static let tolerance = 16 << 20

    /// How much more this process takes with such a mapping, of which each page was written.
    private func growth(_ flags: Int32) throws -> Int {
        let before = try #require(MemorySampler.resident(of: getpid()))
        let memory = try #require(
            mmap(nil, Self.size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0))
        try #require(memory != MAP_FAILED)
        defer { munmap(memory, Self.size) }
        memset(memory, 1, Self.size)
        return try #require(MemorySampler.resident(of: getpid())) - before
    }

    @Test("A process's own pages count, those of shared memory do not")
    func own() throws {
        #expect(try growth(MAP_PRIVATE) > Self.size - Self.tolerance)
        #expect(abs(try growth(MAP_SHARED)) < Self.tolerance)
    }

    @Test("Of a process that is not there nothing is said")
    func gone() { #expect(MemorySampler.resident(of: -1) == nil) }
}
