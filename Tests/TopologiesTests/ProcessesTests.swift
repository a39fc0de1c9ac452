import Testing
import Topologies

/// Programs beside the mesh, and how programs are kept.
struct ProcessesTests {
    private func load(_ text: String) throws -> Topology {
        let outcome = Topology.load(text: text, file: "side.yaml", directory: "/meshes")
        return try #require(outcome.topology, "\(outcome.rendered)")
    }

    @Test("every key of a process and its probes reaches the topology with its value")
    func everyKey() throws {
        let topology = try load(
            """
            synmesh: 1
            processes:
              database:
                command: [./database, --port, "5432"]
                environment: { MODE: quick }
                working_directory: data
                grace: 300ms
                log: { max_size: 50MB }
                limits: { memory: 64MiB, files: 64, file_size: 1MB, cpu: 2s, nice: 3 }
                essential: false
                restart:
                  policy: always
                  backoff: 10ms
                  backoff_max: 2s
                  jitter: 25%
                  stable: 3s
                  max_restarts: 7
                  period: 1m
                probes:
                  open: { tcp: localhost:5432, as: startup, period: 50ms, failures: 100 }
                  page: { http: "http://[::1]:8080/health?full", delay: 1s, timeout: 200ms }
                  alive: { exec: ./check, as: liveness, successes: 2 }
                  said: { log: "ready [0-9]+" }
                  told: { fd: 4, as: startup, timeout: 5s }
              worker:
                command: ./worker --quick
                replicas: 2
                depends_on: { database: started }
            groups:
              all: { strategy: rest_for_one, members: [worker, database], max_restarts: 2, period: 5s }
            """)
        let database = try #require(topology.process(named: "database"))
        #expect(database.command == ["./database", "--port", "5432"])
        #expect(database.environment == ["MODE": "quick"])
        #expect(database.upkeep.workingDirectory == "/meshes/data")
        #expect(database.upkeep.grace == .milliseconds(300))
        #expect(database.upkeep.log?.size == 50_000_000)
        #expect(database.upkeep.log?.kept == 3)
        let limits = database.upkeep.limits
        #expect(limits.memory == 67_108_864)
        #expect(limits.files == 64)
        #expect(limits.fileSize == 1_000_000)
        #expect(limits.processorTime == .seconds(2))
        #expect(limits.nice == 3)
        #expect(!database.isEssential)
        #expect(
            database.restart
                == RestartPolicy(
                    condition: .always, backoff: .milliseconds(10), backoffMax: .seconds(2),
                    jitter: 0.25, stable: .seconds(3), maximumRestarts: 7, period: .seconds(60)))
        let probes = database.upkeep.probes
        #expect(probes.map(\.name) == ["open", "page", "alive", "said", "told"])
        #expect(
            probes.map(\.test) == [
                .tcp(host: "127.0.0.1", port: 5432),
                .http(host: "::1", port: 8080, path: "/health?full"),
                .command(["/bin/sh", "-c", "./check"]), .line("ready [0-9]+"), .descriptor(4),
            ])
        #expect(probes.map(\.role) == [.startup, .readiness, .liveness, .readiness, .startup])
        #expect(probes.map(\.failures) == [100, 3, 3, 1, 1])
        #expect(probes[0].period == .milliseconds(50))
        #expect(probes[1].delay == .seconds(1))
        #expect(probes[1].timeout == .milliseconds(200))
        #expect(probes[2].successes == 2)
        #expect(probes[4].timeout == .seconds(5))

        let worker = try #require(topology.process(named: "worker-2"))
        #expect(worker.group == "worker")
        #expect(worker.command == ["/bin/sh", "-c", "./worker --quick"])
        #expect(worker.dependencies.map(\.name) == ["database"])
        #expect(worker.dependencies.map(\.condition) == [.started])
        #expect(worker.isEssential)
        #expect(topology.startLevels == [["database"], ["worker-1", "worker-2"]])
        let group = try #require(topology.groups.first)
        #expect(group.name == "all")
        #expect(group.strategy == .restForOne)
        #expect(group.members == ["database", "worker-1", "worker-2"], "in the order of start")
        #expect(group.maximumRestarts == 2)
        #expect(group.period == .seconds(5))
    }

    @Test("agents and processes wait for each other, by name, by group, and as a list")
    func dependencies() throws {
        let topology = try load(
            """
            synmesh: 1
            branches: { core: {} }
            agents:
              first: { kind: probe }
              second: { command: [./second], depends_on: [helper], grace: 1s, probes: { up: { log: up } } }
            processes:
              helper: { command: [./helper], replicas: 2, depends_on: first }
            """)
        #expect(topology.startLevels == [["first"], ["helper-1", "helper-2"], ["second"]])
        let second = try #require(topology.agent(named: "second"))
        #expect(second.dependencies.map(\.condition) == [.ready, .ready])
        #expect(second.upkeep.grace == .seconds(1))
        #expect(second.upkeep.probes.count == 1)
    }
}
