import TestSupport
import Testing
import Topologies
import YAML

/// Files cut off, garbled, or made to be expensive: never a crash, never a hang.
///
/// A hang shows as the time limit; what is loaded does not matter, only that loading ends with a
/// topology or a diagnostic.
struct HostileTopologyTests {
    static let shipped: [String] = {
        let names = (try? Repository.files(in: "topologies", suffix: ".yaml")) ?? []
        return names.map { "topologies/" + $0 }
    }()

    private func check(_ bytes: [UInt8], _ file: String = "hostile.yaml") -> Bool {
        let outcome = Topology.load(Source(name: file, bytes: bytes), directory: ".")
        return outcome.topology != nil || !outcome.rendered.isEmpty
    }

    @Test("every fifth prefix of a shipped topology loads or is diagnosed", .timeLimit(.minutes(2)))
    func prefixes() throws {
        for (number, path) in Self.shipped.enumerated() {
            let bytes = try Repository.read(path)
            // Every one of `complete` is tried below; in all of these it takes half a minute.
            for end in stride(from: number % 5, to: bytes.count, by: 5)
            where !check(Array(bytes[..<end]), path) {
                Issue.record("the first \(end) bytes of \(path) are neither")
            }
        }
    }

    @Test("every prefix of a topology with all keys loads or is diagnosed", .timeLimit(.minutes(2)))
    func prefixesOfComplete() {
        let bytes = Array(TopologyTests.complete.utf8)
        for end in bytes.indices where !check(Array(bytes[..<end])) {
            Issue.record("the first \(end) bytes are neither")
        }
    }

    @Test("2,000 mutations load or are diagnosed", .timeLimit(.minutes(2)))
    func mutations() throws {
        var generator = SeededGenerator(seed: 20_261_128)
        let originals =
            try Self.shipped.map { try Repository.read($0) } + [Array(TopologyTests.complete.utf8)]
        for number in 0..<2_000 {
            let bytes = Self.mutated(originals[number % originals.count], &generator)
            if !check(bytes) { Issue.record("mutation \(number) is neither") }
        }
    }

    @Test(
        "a file made to be expensive is answered in time",
        .timeLimit(.minutes(1)), arguments: Expensive.allCases)
    func expensive(_ file: Expensive) {
        let bytes = Array(file.text.utf8)
        // A longer one would be refused before it costs anything.
        #expect(bytes.count <= Source.byteCountMax)
        #expect(check(bytes))
    }

    @Test("a file above the limit is refused, whatever is in it")
    func oversized() {
        let text = "synmesh: 1 #" + String(repeating: "x", count: Source.byteCountMax)
        let outcome = Topology.load(text: text, file: "big.yaml")
        #expect(outcome.rendered == "big.yaml: error: the file is larger than 1 MiB\n")
    }

    /// One to four edits: bytes flipped, cut out, doubled, or replaced by YAML's own characters.
    private static func mutated(_ original: [UInt8], _ generator: inout SeededGenerator) -> [UInt8]
    {
        let indicators = Array("-?:,[]{}#&*!|>'\"%@` \n\t\r0~<".utf8) + [0x00, 0xC3, 0xFF]
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &generator) where !bytes.isEmpty {
            let index = Int.random(in: bytes.indices, using: &generator)
            let end = min(bytes.count, index + Int.random(in: 1...20, using: &generator))
            switch Int.random(in: 0..<5, using: &generator) {
            case 0: bytes[index] ^= UInt8.random(in: 1...255, using: &generator)
            case 1: bytes.removeSubrange(index..<end)
            case 2: bytes.insert(contentsOf: bytes[index..<end], at: index)
            case 3: bytes[index] = indicators.randomElement(using: &generator) ?? 0
            default:
                bytes.insert(
                    indicators.randomElement(using: &generator) ?? 0, at: index)
            }
        }
        return bytes
    }
}

/// Texts of about 1 MiB, each aimed at a place where the cost might grow with the square.
enum Expensive: String, CaseIterable, Sendable {
    case brackets, dashes, questionMarks, keys, agents, unknownReferences, dependencies, chain
    case topics, prefixes, anchors, aliases, tagDirectives, longLine, replicas

    var text: String {
        let head = "synmesh: 1\nbranches: { core: }\n"
        func many(_ count: Int, _ line: (Int) -> String) -> String {
            (0..<count).map(line).joined()
        }
        return switch self {
        case .brackets: String(repeating: "[", count: 1 << 20)
        case .dashes: String(repeating: "- ", count: 1 << 19)
        case .questionMarks: String(repeating: "? ", count: 1 << 19)
        case .keys: many(80_000) { "key\($0): 1\n" }
        case .agents: head + "agents:\n" + many(60_000) { "  a\($0): {}\n" }
        case .unknownReferences:
            head + "agents:\n" + many(1_900) { "  agent\($0): { kind: probe }\n" }
                + "  x: { kind: probe, depends_on: [" + many(90_000) { "agnet\($0)," } + "] }\n"
        case .dependencies:
            head + "agents:\n" + many(700) { "  a\($0): &a { kind: probe, depends_on: [g] }\n" }
                + "  g: { kind: probe, replicas: 1000, depends_on: ["
                + many(100_000) { "a\($0 % 700)," } + "] }\n"
        case .chain:
            head + "agents:\n"
                + many(1_999) { "  a\($0): { kind: probe, depends_on: a\(($0 + 1) % 1_999) }\n" }
        case .topics:
            head + "topic_proxies: { t: { prefixes: [" + many(200) { "prefix\($0)," } + "] } }\n"
                + "agents: { x: { kind: probe, settings: { topics: ["
                + many(70_000) { "prefxi\($0)," } + "] } } }\n"
        case .prefixes:
            head + "topic_proxies:\n"
                + many(200) { proxy in
                    "  t\(proxy): { prefixes: [" + many(200) { "p\(proxy).q\($0 % 190)," } + "] }\n"
                }
        case .anchors: many(55_000) { "k\($0): &a\($0) 1\n" }
        case .aliases: "a: &a [1]\nb: [" + String(repeating: "*a ,", count: 250_000) + "]\n"
        case .tagDirectives: many(60_000) { "%TAG !\($0)! a\n" }
        case .longLine: "x: " + String(repeating: "é", count: 500_000)
        case .replicas:
            head + "agents:\n" + many(2_000) { "  a\($0): { kind: probe, replicas: 1000 }\n" }
        }
    }
}
