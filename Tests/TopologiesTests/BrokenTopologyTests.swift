import Testing
import Topologies
import YAML

/// Mistakes in topologies, each with the exact text that a user sees.
struct BrokenTopologyTests {
    /// A machine with little memory and without the file that one of the topologies names.
    static let facts = MachineFacts(
        freeSharedMemory: 64_000_000, runtimeDirectoryByteCount: 40,
        isFile: { !$0.hasSuffix("missing.ply") })

    @Test(
        "a broken topology yields exactly the diagnostics in its expected text",
        arguments: try Repository.files(in: "topologies/broken", suffix: ".yaml"))
    func brokenTopology(_ name: String) throws {
        let path = "topologies/broken/" + name
        let bytes = try Repository.read(path)
        let outcome = Topology.load(
            Source(name: path, bytes: bytes), directory: "topologies/broken", facts: Self.facts)
        #expect(outcome.topology == nil)
        try Snapshot.expect(
            outcome.rendered,
            equals: String(path.dropLast(".yaml".count)) + ".expected.txt")
    }

    @Test("every expected text belongs to a broken topology")
    func noOrphans() throws {
        let topologies = try Repository.files(in: "topologies/broken", suffix: ".yaml")
        let texts = try Repository.files(in: "topologies/broken", suffix: ".expected.txt")
        #expect(topologies.count >= 18)
        #expect(
            topologies.map { $0.dropLast(".yaml".count) }
                == texts.map { $0.dropLast(".expected.txt".count) })
    }
}
