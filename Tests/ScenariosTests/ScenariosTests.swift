import Analysis
import Foundation
import Scenarios
import Testing
import Topologies
import YAML

/// A folder with a topology, in which scenarios are written and read.
private struct Folder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/scenarios-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        let topology = """
            synmesh: 1
            nats: { main: {} }
            branches: { core: {} }
            agents:
              pinger: { kind: probe, settings: { to: [echo] } }
              echo: { kind: probe, replicas: 2 }
            """
        try topology.write(toFile: path + "/mesh.yaml", atomically: true, encoding: .utf8)
    }

    func remove() { try? FileManager.default.removeItem(atPath: path) }

    func load(_ text: String) throws -> (scenario: Scenario?, report: String) {
        try text.write(toFile: path + "/play.yaml", atomically: true, encoding: .utf8)
        let diagnostics = Diagnostics()
        let loaded = Scenario.load(
            path: path + "/play.yaml", machine: MachineFacts(), reportingTo: diagnostics)
        return (
            loaded?.scenario,
            diagnostics.rendered.replacing(path + "/", with: "")
        )
    }
}

@Suite struct ScenariosTests {
    @Test("everything that a scenario may say is read")
    func complete() throws {
        let folder = try Folder()
        defer { folder.remove() }
        let (read, report) = try folder.load(
            """
            synmesh: 1
            name: all
            topology: mesh.yaml
            seed: 9
            expect: rolled_back
            limits: { lost: 3, latency_p50_ratio: 2.5 }
            memory: { flat: 12.5%, proxies: 25MB, agents: 40MiB }
            inconclusive: hold
            load_timeout: 30s
            drain_timeout: 3s
            steps:
              - baseline: { load: { pinger: { count: 10, rate: 5, size: 1KB, type: ping } } }
              - parallel_run: { mode: dual }
              - parallel_run: { mode: twin, minimum_samples: 4 }
              - canary:
                  agent: echo-1
                  limits: { payload: 1 }
                  faults:
                    - { kill: main, after: 1s }
                    - { stop: echo-2, after: 100ms, for: 2s }
              - rollout: { order: [pinger, echo] }
              - cutover
              - rollback
            """)
        #expect(report == "")
        let scenario = try #require(read)
        #expect(scenario.name == "all")
        #expect(scenario.seed == 9)
        #expect(scenario.expectation == .outcome(.rolledBack))
        #expect(scenario.limits[.lost] == 3)
        #expect(
            scenario.memory
                == MemoryPromise(growth: 0.125, proxies: 25_000_000, agents: 40 << 20))
        #expect(scenario.limits[.extra] == 0)
        #expect(scenario.limits.latencyP50Ratio == 2.5)
        #expect(scenario.inconclusive == .hold)
        #expect(
            scenario.steps.map(\.action) == [
                .baseline, .dual, .twin, .canary(agent: "echo-1"),
                .rollout(
                    Scenario.Rollout(order: ["pinger", "echo"], wave: 1, isByTraffic: false)),
                .cutover(fallback: .zero), .rollback,
            ])
        #expect(
            scenario.steps[0].load == [
                Scenario.Load(agent: "pinger", count: 10, rate: 5, size: 1_000, type: "ping")
            ])
        #expect(
            scenario.steps[3].faults == [
                .init(kind: .kill, target: "main", after: .seconds(1)),
                .init(
                    kind: .stop, target: "echo-2", after: .milliseconds(100),
                    duration: .seconds(2)),
            ])
        #expect(scenario.steps[3].limits?[.payload] == 1)
        #expect(scenario.steps[2].minimumSamples == 4)
    }

    @Test(
        "what is wrong is said with its place, and what was probably meant",
        arguments: [
            (
                "steps: [baseline: { lod: {} }]",
                ["play.yaml:3:21: error: unknown key 'lod'", "did you mean 'load'?"]
            ),
            ("steps: [canary: { agent: ecko }]", ["unknown agent 'ecko'", "did you mean 'echo'?"]),
            ("steps: []", ["a scenario needs a step"]),
            ("steps: [paralell_run: { mode: dual }]", ["did you mean 'parallel_run'?"]),
            (
                "steps: [canary: { agent: echo, faults: [{ stop: main }] }]",
                ["a stopped process needs an end"]
            ),
            (
                "steps: [canary: { agent: echo, faults: [{ kill: mian }] }]",
                ["unknown process 'mian'", "did you mean 'main'?"]
            ),
            ("steps: [baseline]\nexpect: promotted", ["did you mean 'promoted'?"]),
            ("steps: [baseline]\nlimits: { losst: 1 }", ["did you mean 'lost'?"]),
            ("steps: [baseline: { load: { pinger: { rate: 5 } } }]", ["missing key 'count'"]),
        ])
    func wrong(text: String, expected: [String]) throws {
        let folder = try Folder()
        defer { folder.remove() }
        let (scenario, report) = try folder.load("synmesh: 1\ntopology: mesh.yaml\n" + text)
        #expect(scenario == nil)
        for part in expected { #expect(report.contains(part), "\(report)") }
    }

    @Test("the topology's mistakes are reported with the scenario's")
    func both() throws {
        let folder = try Folder()
        defer { folder.remove() }
        try "synmesh: 1\nbranchs: {}\n".write(
            toFile: folder.path + "/mesh.yaml", atomically: true, encoding: .utf8)
        let (_, report) = try folder.load(
            "synmesh: 1\ntopology: mesh.yaml\nsteps: [baseline: { lod: {} }]")
        #expect(report.contains("unknown key 'lod'"))
        #expect(report.contains("unknown key 'branchs'"))
    }

    @Test("every prefix of every shipped scenario is read or refused, never a crash")
    func prefixes() throws {
        let folder = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "scenarios")
        let files = try FileManager.default.contentsOfDirectory(
            at: folder, includingPropertiesForKeys: nil
        ).filter { $0.pathExtension == "yaml" }
        #expect(!files.isEmpty)
        let copy = try Folder()
        defer { copy.remove() }
        for file in files {
            let loaded = Scenario.load(
                path: file.path, machine: MachineFacts(), reportingTo: Diagnostics())
            #expect(loaded != nil, "\(file.lastPathComponent)")
            let bytes = try Data(contentsOf: file)
            for count in stride(from: 0, to: bytes.count, by: 7) {
                _ = try copy.load(String(decoding: bytes.prefix(count), as: UTF8.self))
            }
        }
    }
}
