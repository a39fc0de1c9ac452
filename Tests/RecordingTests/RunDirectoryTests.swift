import Glibc
import JSON
import TestSupport
import Testing
import Wire

@testable import Recording

@Suite("The run directory")
struct RunDirectoryTests {
    let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    @Test("it is made with all its parents, and lists its histories by name")
    func histories() throws {
        let run = RunDirectory(scratch.file("logs/demo/run-1"))
        defer { remove(run) }
        #expect(try run.histories() == [])
        try run.create()
        try run.create()
        let paths = ["beta", "alpha"].map { run.historyPath(process: $0, incarnation: 2) }
        for path in paths {
            try HistoryWriter(path: path, process: "p", clock: clock).seal()
        }
        try write([], to: run.historiesPath + "/notes.txt")
        #expect(try run.histories() == paths.reversed())
        #expect(paths[0].hasSuffix("/histories/beta.2.mcap"))
        #expect(run.processLogPath(name: "beta") == run.path + "/processes/beta.log")
    }

    private func remove(_ run: RunDirectory) {
        for path in (try? run.histories()) ?? [] { unlink(path) }
        unlink(run.historiesPath + "/notes.txt")
        rmdir(run.historiesPath)
        rmdir(run.processesPath)
        rmdir(run.path)
        rmdir(scratch.file("logs/demo"))
        rmdir(scratch.file("logs"))
    }

    @Test("events of many threads are whole lines, in the order of their times")
    func events() async throws {
        let path = scratch.file("events.jsonl")
        let log = try EventLog(path: path, clock: clock)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for name in ["a", "b", "c", "d"] {
                group.addTask {
                    for number in 0..<50 {
                        try log.append("tick", ["name": .string(name), "number": Value(number)])
                    }
                }
            }
            try await group.waitForAll()
        }
        let lines = try contents(of: path).split(separator: UInt8(ascii: "\n"))
        #expect(lines.count == 200)
        var before: Int64 = 0
        var next: [String: Int64] = [:]
        for line in lines {
            let value = try Value(parsing: line)
            let at = try #require(value["at"]?.integer)
            #expect(at >= before)
            before = at
            #expect(value["event"]?.string == "tick")
            #expect(value["at_ms"]?.integer != nil)
            let name = try #require(value["name"]?.string)
            #expect(value["number"]?.integer == next[name, default: 0])
            next[name, default: 0] += 1
        }
    }

    @Test("a log that exists is continued")
    func continued() throws {
        let path = scratch.file("events.jsonl")
        try EventLog(path: path, clock: clock).append("one")
        try EventLog(path: path, clock: clock).append("two", ["event": "mine", "at": 0])
        let lines = try contents(of: path).split(separator: UInt8(ascii: "\n"))
        let events = try lines.map { try Value(parsing: $0)["event"]?.string }
        #expect(events == ["one", "two"])
    }
}
