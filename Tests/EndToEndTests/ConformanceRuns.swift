import Foundation
import JSON
import Synchronization
import Testing
import Threads

/// `synmesh conformance`, run as a user runs it.
@Suite(.serialized) struct ConformanceRuns {
    /// Checks a program and returns what was found, clause by clause.
    private static func check(
        _ program: [String], _ options: [String] = [], in folder: TemporaryFolder
    ) throws -> (ending: Program.Ending, report: Value) {
        let ending = try Program(
            ["conformance", "--json", "--logs", folder.path] + options + ["--"] + program,
            in: folder
        ).wait()
        let report = try #require(
            try? Value(parsing: ending.output), "no report; \(ending.errors)")
        return (ending, report)
    }

    /// `transport clause`: its reason, of all clauses that ended like this.
    private static func clauses(_ outcome: String, of report: Value) -> [String: String] {
        var found: [String: String] = [:]
        for entry in report["clauses"]?.array ?? [] where entry["outcome"]?.string == outcome {
            let name = "\(entry["transport"]?.string ?? "") \(entry["clause"]?.string ?? "")"
            found[name] = entry["reason"]?.string ?? ""
        }
        return found
    }

    static let onlyOnZeroMQ = ["nats 3.1", "nats 3.2", "nats 3.3", "nats 3.4"]

    @Test("the agent in Python keeps every clause on both transports", .timeLimit(.minutes(5)))
    func python() throws {
        let folder = try TemporaryFolder()
        let (ending, report) = try Self.check(["python3", "agents/python/echo.py"], in: folder)
        #expect(ending.exitCode == 0, "\(report.canonical)")
        #expect(Self.clauses("fail", of: report).isEmpty)
        #expect(Self.clauses("skipped", of: report).keys.sorted() == Self.onlyOnZeroMQ)
        #expect(Self.clauses("ok", of: report).count >= 77)
    }

    @Test("so does the probe, which says nothing of pools", .timeLimit(.minutes(5)))
    func probe() throws {
        let folder = try TemporaryFolder()
        let (ending, report) = try Self.check(
            ["\(Program.folder)/synmesh-probe"], ["--kind", "probe"], in: folder)
        #expect(ending.exitCode == 0, "\(report.canonical)")
        #expect(Self.clauses("fail", of: report).isEmpty)
        let pools = ["nats 10.1", "nats 10.2", "zmq 10.1", "zmq 10.2"]
        #expect(
            Self.clauses("skipped", of: report).keys.sorted()
                == (Self.onlyOnZeroMQ + pools).sorted())
    }

    struct Variant: Sendable, CustomTestStringConvertible {
        /// Which of `wrong_agent.py`.
        let name: String
        /// The clauses that it breaks; the first is what it is about.
        let broken: [String]
        /// A part of the first one's reason.
        let reason: String
        var transport = "zmq"

        init(_ name: String, _ broken: String..., because reason: String, on: String = "zmq") {
            self.name = name
            self.broken = broken
            self.reason = reason
            transport = on
        }

        var testDescription: String { "\(name) on \(transport)" }
    }

    static let variants = [
        Variant("exits-with-1", "1.1", "1.2", because: "exited with code 1"),
        Variant("names-no-variable", "1.1", "1.2", because: "did not name SYNMESH_NAME"),
        Variant("ready-as-another-incarnation", "2.1", because: "says that it is"),
        Variant("names-process-1", "2.2", because: "the pid 1 is no process"),
        Variant("attaches-as-another", "3.1", "2.1", because: "it attached as"),
        Variant("says-hello-once", "3.2", because: "did not say hello again"),
        Variant("addresses-another", "3.3", because: "is nobody"),
        Variant("gives-no-credit", "3.4", because: "credit for 0 of 1000"),
        Variant("gives-credit-twice", "3.4", because: "of which"),
        Variant("tells-seconds", "4.1", because: "says that it was sent at"),
        Variant("leaves-a-hole", "4.2", "5.3", because: "6 came where 5 was due"),
        Variant("counts-from-0", "4.2", "5.3", because: "0 came where 1 was due"),
        Variant("alters-long-contents", "4.3", because: "another content (1000 bytes"),
        Variant("alters-long-contents", "4.3", because: "another content (1000 bytes", on: "nats"),
        Variant("calls-everything-json", "4.4", because: "a binary content came back as json"),
        Variant("names-no-cause", "4.5", because: "have no cause"),
        Variant("takes-any-kind", "4.6", because: "a kind that there is not"),
        Variant("takes-any-kind", "4.6", because: "a kind that there is not", on: "nats"),
        Variant("dies-of-nonsense", "4.7", because: "after bytes that are no envelope"),
        Variant("alters-batches", "4.8", because: "with another content"),
        Variant("ready-too-early", "5.1", because: "right after ready"),
        Variant("hears-by-bytes", "5.2", because: "conformance.inside"),
        Variant("publishes-at-once", "5.3", "4.2", because: "not all of a load"),
        Variant("takes-repeats", "6.1", "8.5", because: "handed out 2 times"),
        Variant("takes-repeats", "6.1", "8.5", because: "handed out 2 times", on: "nats"),
        Variant("takes-what-overtakes", "6.2", because: "a ping that was overtaken"),
        Variant("heeds-no-notice", "6.3", because: "behind an announced gap"),
        Variant("waits-for-ever", "6.4", because: "a gap that nobody announced"),
        Variant("obeys-everything", "7.1", because: "with ok"),
        Variant("holds-its-status-back", "7.2", because: "held"),
        Variant("has-no-result", "7.3", because: "refused 'result'"),
        Variant("miscounts-its-load", "7.4", because: "was answered with"),
        Variant("hands-no-state-over", "8.1", because: "no object 'state'"),
        Variant("asks-no-marker", "8.1", because: "no marker"),
        Variant("forgets-its-loads", "8.2", because: "'unfinished_loads' is []"),
        Variant("goes-on-when-drained", "8.3", "8.5", because: "after it was drained"),
        Variant("ends-with-1", "8.4", because: "exited with code 1"),
        Variant("forgets-its-state", "8.5", because: "handed out again"),
        Variant("forgets-its-state", "8.5", because: "handed out again", on: "nats"),
        Variant("ignores-sigterm", "9.1", because: "did not end"),
        Variant("ends-by-sigint", "9.2", because: "after SIGINT"),
        Variant("leaves-a-child", "9.3", because: "sleep"),
        Variant("answers-with-descriptors", "10.1", "10.2", because: "other ones"),
        Variant("reads-what-is-stale", "10.1", "10.2", because: "still in use"),
        Variant("never-ends-a-reading", "10.1", "10.2", because: "still in use"),
        Variant("records-half", "11.1", because: "not recorded as sent"),
        Variant("acknowledges-nothing", "12.1", because: "were not acknowledged"),
        Variant("takes-notices-for-holes", "12.2", because: "in front of which one is missing"),
        Variant("forgets-what-it-sent", "12.3", because: "was not sent again"),
    ]

    /// What workers still have to check.
    private final class Waiting: Sendable {
        private let variants = Mutex(ConformanceRuns.variants[...])

        func next() -> Variant? { variants.withLock { $0.popFirst() } }
    }

    @Test(
        "a program that breaks one clause is told that one, and why", .timeLimit(.minutes(10)))
    func wrong() async throws {
        // Few at a time: with more, answers are late enough to break clauses.
        let waiting = Waiting()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    while let variant = waiting.next() {
                        let ending = try await onDedicatedThread(named: "conformance") {
                            let folder = try TemporaryFolder()
                            let words = [
                                "conformance", "--json", "--logs", folder.path, "--transport",
                                variant.transport, "--timeout", "5", "--", "python3",
                                "Tests/EndToEndTests/wrong_agent.py", variant.name,
                            ]
                            return try Program(words, in: folder).wait()
                        }
                        Self.judge(variant, ending)
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    private static func judge(_ variant: Variant, _ ending: Program.Ending) {
        guard let report = try? Value(parsing: ending.output) else {
            Issue.record("\(variant.testDescription): no report; \(ending.errors)")
            return
        }
        #expect(ending.exitCode == 1, "\(variant.testDescription)")
        let broken = Self.clauses("fail", of: report)
        #expect(
            broken.keys.sorted() == variant.broken.map { "\(variant.transport) \($0)" }.sorted(),
            "\(variant.testDescription): \(broken)")
        let reason = broken["\(variant.transport) \(variant.broken[0])"] ?? ""
        #expect(reason.contains(variant.reason), "\(variant.testDescription): \(reason)")
    }

    @Test("the table has every variant that there is")
    func allVariants() throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = [
            "python3", "\(Program.repository)/Tests/EndToEndTests/wrong_agent.py", "--list",
        ]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        let output = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        let names = String(decoding: output, as: UTF8.self).split(separator: "\n").map(String.init)
        #expect(Set(names) == Set(Self.variants.map(\.name)))
    }

    @Test("a program that is none, or says nothing, is told so, in words and in JSON")
    func silent() throws {
        let folder = try TemporaryFolder()
        let ending = try Program.run(
            "conformance", "--transport", "zmq", "--timeout", "1", "--logs", folder.path, "--",
            "sleep", "300", in: folder)
        #expect(ending.exitCode == 1)
        #expect(ending.output.contains("FAIL     zmq   2.1   says ready in time"))
        #expect(ending.output.contains("(agents/README.md, 2.1)"))
        #expect(ending.output.contains("skipped  zmq   8.1"))
        #expect(try Program.run("conformance", in: folder).exitCode == 64)
        let missing = try Program.run(
            "conformance", "--logs", folder.path, "--transport", "zmq", "--", "./no-such-program",
            in: folder)
        #expect(missing.exitCode != 0)
        #expect((missing.output + missing.errors).contains("no-such-program"))
    }

    @Test(
        "agents in Python are canaries, before ours and with clouds in shared memory",
        .timeLimit(.minutes(5)))
    func canary() throws {
        let folder = try TemporaryFolder()
        let (ending, verdict) = try Program.play("scenarios/python-agents.yaml", in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        #expect(verdict["outcome"] == "promoted")
        ScenarioRuns.expectClean(verdict)
        #expect(verdict["moves"]?.array?.count == 6)
        let run = folder.latest("python-agents")
        let clouds = try ScenarioRuns.clouds(of: "boxes", in: run)
        #expect(Set(clouds.map { $0["points"] }) == [20_000])
        let results = try Value(
            parsing: String(contentsOfFile: "\(run)/results.json", encoding: .utf8))
        let last = try #require(results.array?.last)
        #expect(last.at("agents", "boxes", "clouds")?.array?.count == 57)
        #expect(last.at("agents", "boxes", "unread") == 0)
        // Each ping and each of the load's messages, once: what was counted before the moves stays.
        #expect(last.at("agents", "echo", "received") == 5_200)
    }

    @Test(
        "an agent that keeps no history is judged by what passes its proxy, and moves",
        .timeLimit(.minutes(5)))
    func withoutHistory() throws {
        let folder = try TemporaryFolder()
        let agent = "\(Program.repository)/agents/python/echo.py"
        _ = try folder.write(
            """
            synmesh: 1
            nats: { main: {} }
            branches: { core: {} }
            topic_proxies: { board: { prefixes: [news] } }
            agents:
              pinger: { kind: probe, settings: { to: [echo], subscribe: [news] } }
              echo:
                command: [python3, "\(agent)"]
                contract: full
                settings: { to: [pinger], topics: [news.echo] }
            """, to: "t.yaml")
        let scenario = try folder.write(
            """
            synmesh: 1
            topology: t.yaml
            steps:
              - baseline: { load: { pinger: { type: ping, count: 400 }, echo: { count: 100 } } }
              - canary:
                  agent: echo
                  load: { pinger: { type: ping, count: 400, rate: 400 }, echo: { count: 100 } }
              - rollout: { load: { pinger: { type: ping, count: 300 }, echo: { count: 100 } } }
            """, to: "recorded.yaml")
        let (ending, verdict) = try Program.play(scenario, in: folder)
        #expect(ending.exitCode == 0, "\(ending.errors)")
        ScenarioRuns.expectClean(verdict)
        // Pings and echoes, the load's messages to the pinger, and as many on the topic.
        #expect(verdict.count("delivery", "delivered") == 2_800)
        let histories = try FileManager.default.contentsOfDirectory(
            atPath: "\(folder.latest("recorded"))/histories")
        #expect(!histories.contains { $0.hasPrefix("echo.") })
    }
}
