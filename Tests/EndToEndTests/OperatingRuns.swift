import Foundation
import Glibc
import JSON
import Testing

/// A mesh in the background, asked and told through the built `synmesh`.
@Suite(.serialized) struct OperatingRuns {
    /// A folder with a topology, a place of its own for what is noted down of meshes, and their end.
    private final class Place {
        let folder: TemporaryFolder
        let topology: String

        init(_ text: String = Place.text, named name: String = "side") throws {
            folder = try TemporaryFolder()
            topology = try folder.write(text, to: "\(name).yaml")
        }

        deinit { _ = try? run("down", "--all") }

        static let text = """
            synmesh: 1
            branches: { core: {} }
            agents:
              pinger: { kind: probe, settings: { to: [echo] } }
              echo: { kind: probe }
            processes:
              talker:
                command: echo one; echo two; printf three; trap 'exit 0' TERM; while :; do sleep 0.01; done
                probes: { said: { log: ^two$ } }
                grace: 2s
              done: { command: [sh, -c, "echo finished"] }
              counter: { command: seq 1 2000, log: { max_size: 1KiB, keep: 50 } }
            """

        func start(_ arguments: String...) throws -> Program {
            try Program(
                arguments, in: folder, environment: ["XDG_RUNTIME_DIR": folder.path])
        }

        func run(_ arguments: String...) throws -> Program.Ending {
            try Program(
                arguments, in: folder, environment: ["XDG_RUNTIME_DIR": folder.path]
            ).wait(atMost: .seconds(60))
        }

        func up() throws -> Program.Ending {
            try run("up", "-d", "--wait", topology, "--logs", folder.path)
        }

        func json(_ arguments: String...) throws -> Value {
            let ending = try Program(
                arguments + ["--json"], in: folder,
                environment: ["XDG_RUNTIME_DIR": folder.path]
            ).wait(atMost: .seconds(60))
            #expect(ending.exitCode == 0, "\(arguments): \(ending.errors)")
            return try Value(parsing: ending.output)
        }

        /// What `ps` says of a process.
        func process(_ name: String) throws -> Value {
            let meshes = try json("ps").at("meshes")?.array ?? []
            let found = meshes.flatMap { $0["processes"]?.array ?? [] }
            return try #require(found.first { $0["name"]?.string == name })
        }
    }

    @Test("up -d --wait, ps, logs and down: all with JSON too", .timeLimit(.minutes(2)))
    func background() throws {
        // What is shown has whole milliseconds.
        let began = Date() - 0.001
        let place = try Place()
        #expect(try place.run("ps").output == "no mesh is up\n")
        let up = try place.up()
        #expect(up.exitCode == 0, "\(up.errors)")
        #expect(up.errors.contains("up: side, log in "), "\(up.errors)")

        let talker = try place.process("talker")
        #expect(talker["phase"] == "running")
        #expect(talker["ready"] == true)
        #expect(talker["kind"] == "process")
        #expect(talker["probes"]?.array?.first?["passes"] == true)
        #expect(try place.process("pinger")["ready"] == true)
        let done = try place.process("done")
        #expect(done["phase"] == "ended")
        #expect(done.at("last_exit", "code") == 0)
        let table = try place.run("ps").output
        #expect(table.contains("side is up ("), "\(table)")
        #expect(
            table.split(separator: "\n").contains { line in
                let words = line.split(separator: " ")
                return words.starts(with: ["talker", "process", "ready"])
            }, "\(table)")

        #expect(try place.run("logs", "talker").output == "one\ntwo\nthree\n")
        #expect(try place.run("logs", "--tail", "1", "talker").output == "three\n")
        let both = try place.run("logs", "talker", "done").output
        #expect(both == "talker | one\ntalker | two\ntalker | three\ndone | finished\n")
        #expect(try place.run("logs", "--since", "1h", "done").output == "finished\n")
        #expect(try place.run("logs", "--since", "0s", "done").output == "")
        let line = try place.json("logs", "done")
        #expect(line["process"] == "done" && line["line"] == "finished")
        let time = try Date(
            #require(line["time"]?.string),
            strategy: .iso8601.year().month().day().timeZone(separator: .omitted)
                .time(includingFractionalSeconds: true))
        #expect(time >= began && time <= Date())
        #expect(try place.run("logs", "nobody").exitCode == 2)
        // Of older logs too, without a seam.
        let count = try place.run("logs", "counter").output
        #expect(count == (1...2_000).map { "\($0)\n" }.joined())
        let follower = try place.start("logs", "-f", "talker")

        let again = try place.up()
        #expect(again.exitCode == 1)
        #expect(again.errors.contains("a mesh 'side' is up already"), "\(again.errors)")

        let pids = try ["pinger", "echo", "talker", "core"].compactMap {
            try place.process($0)["pid"]?.integer
        }
        let down = try place.run("down")
        #expect(down.exitCode == 0, "\(down.errors)")
        #expect(down.output == "down: side: nothing is left behind\n")
        for pid in pids { #expect(kill(Int32(pid), 0) != 0) }
        // Its shell may say that its `sleep` was ended, too.
        let followed = try follower.wait(atMost: .seconds(30))
        #expect(followed.exitCode == 0)
        #expect(followed.output.hasPrefix("one\ntwo\nthree"), "\(followed.output)")
        #expect(try place.run("down").exitCode == 2)
        #expect(try place.json("ps") == ["meshes": []])
    }

    @Test("parts are restarted, stopped and started, and explained", .timeLimit(.minutes(2)))
    func parts() throws {
        let place = try Place()
        #expect(try place.up().exitCode == 0)
        let events = try place.start("events", "--json")
        let before = try place.process("echo")["pid"]
        // The first event that is seen says that the listener is there.
        try events.poll(atMost: .seconds(30), "an event") {
            _ = try? place.run("restart", "done")
            return events.text.contains("\"name\":\"done\"")
        }

        #expect(try place.json("restart", "echo", "talker") == ["parts": ["echo", "talker"]])
        let echo = try place.process("echo")
        #expect(echo["incarnation"] == 2)
        #expect(echo["ready"] == true)
        #expect(echo["pid"] != before)
        #expect(echo.at("last_exit", "attribution") == "stopped by us")

        let stopped = try place.run("stop", "talker")
        #expect(stopped.exitCode == 0, "\(stopped.errors)")
        #expect(stopped.output.contains("exited with code 0, stopped by us"), "\(stopped.output)")
        #expect(try place.process("talker")["phase"] == "ended")
        let explained = try place.run("explain", "talker").output
        #expect(explained.hasPrefix("talker has ended (incarnation 2)\n"), "\(explained)")
        #expect(try place.run("start", "talker").output == "started: talker\n")
        #expect(try place.process("talker")["incarnation"] == 3)
        let running = try place.run("explain", "talker").output
        #expect(running.contains(", incarnation 3) and is ready\n"), "\(running)")
        #expect(
            running.contains("its readiness probe 'said' passes: a line that matches ^two$"),
            "\(running)")

        let branch = try place.run("explain", "core").output
        let node = try place.process("core")["pid"]?.integer ?? 0
        #expect(branch.contains("is held by process \(node) (synmesh-node)\n"), "\(branch)")

        for command in ["restart", "stop", "start", "explain"] {
            let ending = try place.run(command, "nobody")
            #expect(ending.exitCode == 2)
            #expect(ending.errors.contains("there is no part 'nobody'"), "\(ending.errors)")
        }
        #expect(try place.run("down").exitCode == 0)
        let seen = try events.wait()
        let lines = try seen.output.split(separator: "\n").map { try Value(parsing: String($0)) }
        let talker = lines.filter { $0["name"] == "talker" }.compactMap { $0["event"]?.string }
        #expect(
            talker == [
                "exited", "started", "ready", "exited", "started", "ready", "exited",
            ])
    }

    @Test("processes that are alike are scaled, agents are not", .timeLimit(.minutes(1)))
    func scale() throws {
        let place = try Place(
            """
            synmesh: 1
            branches: { core: {} }
            agents: { echo: { kind: probe, replicas: 2 } }
            processes:
              worker: { command: [sleep, "1000"], replicas: 1 }
              single: { command: [sleep, "1000"] }
            """)
        #expect(try place.up().exitCode == 0)
        #expect(
            try place.json("scale", "worker=3")
                == ["parts": ["worker-1", "worker-2", "worker-3"]])
        #expect(try place.process("worker-3")["phase"] == "running")
        #expect(try place.run("scale", "worker=1").output == "there: worker-1\n")
        #expect(try place.process("worker-3")["phase"] == "ended")
        #expect(try place.process("worker-1")["phase"] == "running")
        #expect(try place.json("scale", "worker=2") == ["parts": ["worker-1", "worker-2"]])
        #expect(try place.process("worker-2")["incarnation"] == 2)
        #expect(try place.json("restart", "worker") == ["parts": ["worker-1", "worker-2"]])
        for (target, reason) in [
            ("echo=3", "are agents"), ("single=2", "without 'replicas'"),
            ("none=2", "no processes"),
        ] {
            let ending = try place.run("scale", target)
            #expect(ending.exitCode == 2)
            #expect(ending.errors.contains(reason), "\(ending.errors)")
        }
        #expect(try place.run("scale", "worker").exitCode == 64)
        #expect(try place.run("down").output == "down: side: nothing is left behind\n")
    }

    @Test(
        "a start that fails says why, with its exit code, and leaves nothing",
        .timeLimit(.minutes(1)))
    func failing() throws {
        let place = try Place(
            """
            synmesh: 1
            processes:
              bad: { command: echo sorry; exit 3, probes: { up: { log: never } } }
              slow: { command: [sleep, "1000"], depends_on: [bad] }
            """)
        let up = try place.up()
        #expect(up.exitCode == 3, "\(up.errors)")
        // Either of both may be first to say it.
        #expect(up.errors.contains("could not start '"), "\(up.errors)")
        #expect(up.errors.contains(": bad (process "), "\(up.errors)")
        #expect(up.errors.contains("exited with code 3, by itself"), "\(up.errors)")
        #expect(try place.json("ps") == ["meshes": []])
    }

    @Test("a wait that is over says what is missing, and the mesh goes on", .timeLimit(.minutes(1)))
    func slow() throws {
        let place = try Place(
            """
            synmesh: 1
            processes:
              slow:
                command: [sleep, "1000"]
                probes: { there: { exec: [test, -e, good], period: 20ms } }
              late: { command: [sleep, "1000"], depends_on: [slow] }
            """)
        let up = try place.run(
            "up", "-d", "--wait", "--timeout", "1", place.topology, "--logs", place.folder.path)
        #expect(up.exitCode == 1)
        #expect(up.errors.contains("'side' is not ready after 1.0 s"), "\(up.errors)")
        let explained = try place.run("explain", "slow").output
        #expect(
            explained.contains(
                "its readiness probe 'there' fails: exec test -e good: exit code 1"), "\(explained)"
        )
        #expect(
            try place.run("explain", "late").output == """
                late has not been started
                  it waits for 'slow' to be ready

                """)
        _ = try place.folder.write("", to: "good")
        let ps = try place.start("ps")
        try ps.poll(atMost: .seconds(30), "the rest") {
            (try? place.json("ps").at("meshes")?.array?.first?["phase"]) == "up"
        }
        #expect(try place.run("down").exitCode == 0)
    }

    @Test("who holds a port is said", .timeLimit(.minutes(2)))
    func ports() throws {
        let port = try HeldPort()
        let place = try Place(
            """
            synmesh: 1
            processes:
              other: { command: [sleep, "1000"], probes: { open: { tcp: \(port.number) } } }
            """)
        let holder = "is held by process \(getpid()) ("
        #expect(try place.up().exitCode == 0)
        let explained = try place.run("explain", "other").output
        #expect(explained.contains("port \(port.number) \(holder)"), "\(explained)")
        #expect(explained.contains("), which is none of its own\n"), "\(explained)")
        #expect(try place.run("down").exitCode == 0)

        let taken = try Place(
            """
            synmesh: 1
            branches: { core: { endpoint: "tcp://127.0.0.1:\(port.number)" } }
            """)
        let up = try taken.run("up", taken.topology, "--logs", taken.folder.path)
        #expect(up.exitCode == 3)
        #expect(up.errors.contains("Port \(port.number) \(holder)"), "\(up.errors)")
    }

    @Test(
        "several meshes are side by side, each with its name", .timeLimit(.minutes(1)))
    func several() throws {
        let place = try Place()
        #expect(try place.up().exitCode == 0)
        let other = try place.run(
            "up", "-d", "--wait", "--name", "other", place.topology, "--logs", place.folder.path)
        #expect(other.exitCode == 0, "\(other.errors)")
        let unclear = try place.run("down")
        #expect(unclear.exitCode == 2)
        #expect(unclear.errors.contains("several meshes are up"), "\(unclear.errors)")
        #expect(
            try place.run("down", "--mesh", "other").output
                == "down: other: nothing is left behind\n")
        #expect(try place.process("talker")["phase"] == "running")
        #expect(try place.run("down").exitCode == 0)
    }

    @Test(
        "what is left of a mesh that was killed with its guardian is found and cleaned",
        .timeLimit(.minutes(1)))
    func clean() throws {
        let place = try Place(
            """
            synmesh: 1
            processes:
              ignores:
                command: trap '' TERM; echo up; while :; do sleep 1000; done
                probes: { up: { log: up } }
              sheds:
                command: [env, -i, /bin/sh, -c, "/bin/sleep 1000 & /bin/echo up; wait"]
                probes: { up: { log: up } }
            """)
        #expect(try place.up().exitCode == 0)
        let pids = try ["ignores", "sheds"].compactMap { try place.process($0)["pid"]?.integer }
        let path = try #require(
            FileManager.default.subpaths(atPath: place.folder.path + "/synmesh")?
                .first { $0.hasSuffix("mesh.json") })
        let record = try Value(
            parsing: String(
                contentsOfFile: "\(place.folder.path)/synmesh/\(path)", encoding: .utf8))
        let both = try ["guardian", "orchestrator"].map { name in
            Int32(try #require(record.count(name, "process")))
        }
        // Neither may see the other's end: both are stopped, then killed.
        for process in both { kill(process, SIGSTOP) }
        for process in both { kill(process, SIGKILL) }
        let dry = try place.start("clean", "--dry-run")
        try dry.poll(atMost: .seconds(30), "their end") { both.allSatisfy { kill($0, 0) != 0 } }
        #expect(try place.run("ps").errors.contains("was killed together with its guardian"))
        #expect(try place.run("down").exitCode == 2)
        let left = try place.run("clean", "--dry-run")
        #expect(left.exitCode == 1)
        #expect(left.output.contains("sleep ("), "\(left.output)")
        for pid in pids { #expect(kill(Int32(pid), 0) == 0) }

        let cleaned = try place.run("clean")
        #expect(cleaned.exitCode == 0, "\(cleaned.output)")
        try dry.poll(atMost: .seconds(30), "the end of all") {
            pids.allSatisfy { kill(Int32($0), 0) != 0 }
        }
        #expect(try place.run("clean").output == "nothing is left of any mesh\n")
    }
}
