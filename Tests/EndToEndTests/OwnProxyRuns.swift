import Foundation
import Glibc
import JSON
import Testing

/// Rehearsals through proxies of the user's own.
@Suite(.serialized) struct OwnProxyRuns {
    @Test(
        "there and back through proxies that keep, count and confirm nothing, with all classes at zero",
        .timeLimit(.minutes(5)), arguments: ["", "--rewrite"])
    func thereAndBack(option: String) throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "own-proxy", replacing: [],
            inTopology: option.isEmpty ? [] : [("\"{endpoint}\"]", "\"{endpoint}\", \(option)]")])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass", "\(verdict["reason"]?.string ?? "")")
        #expect(verdict["outcome"] == "rolled_back")
        ScenarioRuns.expectClean(verdict)
        #expect(verdict.count("delivery", "delivered") == 32_000)
        let moves = verdict["moves"]?.array ?? []
        #expect(moves.map { $0["outcome"]?.string } == Array(repeating: "moved", count: 6))
        // What nobody could see is said, however green the rest is.
        let unproven = (verdict["unproven"]?.array ?? []).compactMap(\.string)
        #expect(unproven.count == 3)
        #expect(unproven.first?.contains("no proxy names it") == true)
        let report = try Program.run("report", folder.latest("own-proxy"), in: folder)
        #expect(report.output.contains("Not proven"))
    }

    struct Defect: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let old: String
        let new: String
        let expected: String
    }

    static let defects = [
        Defect(
            testDescription: "a ROUTER that loses one message in 400", old: "\"{endpoint}\"]",
            new: "\"{endpoint}\", --drop, \"400\"]", expected: "lost"),
        Defect(
            testDescription: "a ROUTER that alters one message in 400", old: "\"{endpoint}\"]",
            new: "\"{endpoint}\", --alter, \"400\"]", expected: "corrupted"),
        Defect(
            testDescription: "a topic proxy that loses one message in 150",
            old: "\"{subscribe}\"]", new: "\"{subscribe}\", --drop, \"150\"]",
            expected: "lost"),
    ]

    @Test(
        "each zero has its control: what the user's proxy does to messages is found",
        .timeLimit(.minutes(5)), arguments: defects)
    func controls(_ defect: Defect) throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "own-proxy",
            replacing: [("expect: [pass, rolled_back]\n", "")],
            inTopology: [(defect.old, defect.new)])
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 1, "\(ending.errors)")
        #expect(verdict["verdict"] == "fail")
        #expect(try #require(verdict.count("delivery", "unexplained", defect.expected)) > 0)
        let findings = (verdict["findings"]?.array ?? []).filter {
            $0["class"]?.string == defect.expected
        }
        #expect(!findings.isEmpty)
        #expect(findings.allSatisfy { $0["sequence"]?.integer != nil })
        ScenarioRuns.expectNoLeaks(verdict)
    }

    @Test(
        "proxies that run already are used, left running, and said to be so",
        .timeLimit(.minutes(5)))
    func connect() throws {
        let folder = try TemporaryFolder()
        let endpoints = ["router", "publish", "subscribe"].map { "ipc://\(folder.path)/\($0)" }
        let proxies = [
            try Self.python(["branch_proxy.py", endpoints[0]]),
            try Self.python(["topic_proxy.py", endpoints[1], endpoints[2]]),
        ]
        // SIGKILL: a child inherits what its parent's thread blocks, which may be SIGTERM.
        defer { for proxy in proxies { kill(proxy.processIdentifier, SIGKILL) } }
        let scenario = try folder.scenario(
            "own-proxy", replacing: [],
            inTopology: [
                (
                    "command: [python3, ../agents/python/branch_proxy.py, \"{endpoint}\"]",
                    "connect: \(endpoints[0])"
                ),
                (
                    "command: [python3, ../agents/python/topic_proxy.py, \"{publish}\", \"{subscribe}\"]",
                    "connect: { publish: \"\(endpoints[1])\", subscribe: \"\(endpoints[2])\" }"
                ),
            ])
        // The same proxies again: a run leaves nothing in them that the next one would trip over.
        for _ in 1...2 {
            let (ending, verdict) = try Program.play(scenario, in: folder)
            #expect(ending.exitCode == 0, "\(ending.errors)")
            #expect(verdict["verdict"] == "pass")
            ScenarioRuns.expectClean(verdict)
            let unproven = (verdict["unproven"]?.array ?? []).compactMap(\.string)
            let running = unproven.filter { $0.contains("runs already") }
            #expect(running.count == 2)
        }
        for proxy in proxies { #expect(proxy.isRunning) }
        let fault = try folder.write(
            try String(contentsOfFile: scenario, encoding: .utf8).replacing(
                "- baseline:\n", with: "- baseline:\n      faults: [{ kill: core }]\n"),
            to: "scenarios/fault.yaml")
        let check = try Program.run("check", fault, in: folder)
        #expect(check.exitCode == 2)
        #expect(check.output.contains("unknown process 'core'"), "\(check.output)")
    }

    @Test("a proxy that is not there is said to be so, with exit code 3", .timeLimit(.minutes(2)))
    func nobody() throws {
        let folder = try TemporaryFolder()
        let scenario = try folder.scenario(
            "own-proxy", replacing: [],
            inTopology: [
                (
                    "command: [python3, ../agents/python/branch_proxy.py, \"{endpoint}\"]",
                    "connect: ipc://\(folder.path)/nobody"
                )
            ])
        let ending = try Program.run("run", scenario, "--logs", folder.path, in: folder)
        #expect(ending.exitCode == 3, "\(ending.errors)")
        #expect(ending.errors.contains("does not give back what a peer says to itself"))
    }

    @Test(
        "a ROUTER that is killed and comes back takes its messages with it, and nothing else",
        .timeLimit(.minutes(5)))
    func killed() throws {
        let folder = try TemporaryFolder()
        _ = try folder.scenario("own-proxy", replacing: [])
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: ../topologies/own-proxy.yaml
            steps:
              - baseline:
                  load: { pinger: { type: ping, count: 1500, rate: 1000, size: 200 } }
                  faults: [{ kill: core, after: 400ms }]
              - canary:
                  agent: echo
                  load: { pinger: { type: ping, count: 600, rate: 1000, size: 200 } }

            """, to: "scenarios/killed.yaml")
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["verdict"] == "pass", "\(verdict["reason"]?.string ?? "")")
        for name in ScenarioRuns.zeroClasses {
            #expect(verdict.count("delivery", "unexplained", name) ?? 0 == 0, "\(name)")
        }
        let faults = verdict["faults"]?.array ?? []
        #expect(faults.count == 1)
        #expect(faults.first?["healed_ms"]?.integer != nil)
        ScenarioRuns.expectNoLeaks(verdict)
    }

    private static func python(_ words: [String]) throws -> Process {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments =
            ["python3", "\(Program.repository)/agents/python/\(words[0])"] + words.dropFirst()
        process.standardOutput = FileHandle.nullDevice
        process.standardInput = FileHandle.nullDevice
        try process.run()
        return process
    }
}
