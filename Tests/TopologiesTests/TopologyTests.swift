import JSON
import Testing
import Topologies
import Wire
import YAML

/// What a file without mistakes means.
struct TopologyTests {
    private func load(
        _ text: String, file: String = "mesh.yaml", facts: MachineFacts = MachineFacts()
    ) throws -> Topology {
        let outcome = Topology.load(text: text, file: file, directory: "/meshes", facts: facts)
        return try #require(outcome.topology, "\(outcome.rendered)")
    }

    /// Every key that there is.
    static let complete = """
        synmesh: 1
        name: first-mesh
        nats:
          main:
            max_payload: 8MB
            executable: /opt/nats-server
            restart: { policy: on_failure, backoff: 1s, max_restarts: 2, period: 1m }
        branches:
          core:
            endpoint: tcp://127.0.0.1:5555
            links: [photogrammetry]
            nats: main
            routing_report: 2s
            queue: { messages: 10, bytes: 1MiB, overflow: drop_oldest }
            stall_timeout: 2s
            peer_timeout: 0s
          photogrammetry: { endpoint: ipc://photogrammetry }
          thoughts-branch: { links: core }
        topic_proxies:
          thoughts:
            publish: tcp://127.0.0.1:5560
            subscribe: tcp://127.0.0.1:*
            prefixes: [tot, status]
            nats: main
            queue: { messages: 20, bytes: 2MiB, overflow: drop_newest }
            stall_timeout: 1s
            peer_timeout: 3s
        pools:
          clouds:
            { size: 16MB, slots: 4, checksum: write, lease: 5s, wait: 100ms, when_full: direct }
        agents:
          camera:
            kind: camera
            branch: photogrammetry
            replicas: 2
            depends_on: [mesh]
            settings:
              to: [mesh]
              scene: { points: 1000, shape: torus }
              pool: clouds
              threshold: 1MB
              defects: { alter: 1000, on: nats }
            environment: { LOG: debug, LEVEL: 3 }
          mesh:
            kind: mesh
            branch: photogrammetry
            settings: { topics: [status.mesh] }
          listener:
            kind: probe
            branch: core
            transport: nats
            settings: { subscribe: [status, tot.a], size: 1kB, to: [camera, camera-2, mesh] }
          foreign:
            command: [python3, ../agents/foreign.py]
            branch: core
            wire: json
            environment: { MODE: base, KEEP: "1" }
            transports:
              nats: { command: ./foreign-nats --fast, environment: { MODE: nats } }
            settings: { anything: [1, two, 3.5, { four: null }], on: yes }
            depends_on: [camera-2, listener]
            restart: { policy: always }
        """

    @Test("every key reaches the topology with its value")
    func everyKey() throws {
        let topology = try load(Self.complete)
        #expect(topology.name == "first-mesh")
        #expect(topology.directory == "/meshes")

        let server = try #require(topology.server(named: "main"))
        #expect(server.maximumPayload == 8_000_000)
        #expect(server.executable == "/opt/nats-server")
        #expect(
            server.restart
                == RestartPolicy(
                    condition: .onFailure, backoff: .seconds(1), maximumRestarts: 2,
                    period: .seconds(60)))

        let core = try #require(topology.branch(named: "core"))
        #expect(core.endpoint == .tcp(host: "127.0.0.1", port: 5555))
        #expect(core.server == "main")
        #expect(core.routingReport == .seconds(2))
        #expect(core.queueMessages == 10)
        #expect(core.queueBytes == 1_048_576)
        #expect(core.queueOverflow == .dropOldest)
        #expect(core.stallTimeout == .seconds(2))
        #expect(core.peerTimeout == .zero)

        let proxy = try #require(topology.topicProxies.first)
        #expect(proxy.publish?.resolved(in: "/run/x") == "tcp://127.0.0.1:5560")
        #expect(proxy.subscribe?.resolved(in: "/run/x") == "tcp://127.0.0.1:*")
        #expect(proxy.queueMessages == 20)
        #expect(proxy.queueBytes == 2_097_152)
        #expect(proxy.queueOverflow == .dropNewest)
        #expect(proxy.stallTimeout == .seconds(1))
        #expect(proxy.peerTimeout == .seconds(3))
        let pool = try #require(topology.pools.first)
        #expect(pool.byteCount == 64_000_000)
        #expect(pool.checksum == .write)
        #expect(pool.lease == .seconds(5))
        #expect(pool.wait == .milliseconds(100))
        #expect(pool.whenFull == .direct)
        let camera = try #require(topology.agent(named: "camera-1"))
        #expect(camera.settings["pool"] == "clouds")
        #expect(camera.settings["threshold"] == 1_000_000)
    }

    @Test("publishers wait for NATS at a topic proxy of ours, and never at one of the user's")
    func topicQueues() throws {
        let text = """
            synmesh: 1
            branches: { core: }
            topic_proxies:
              ours: { prefixes: [a] }
              theirs: { prefixes: [b], command: [proxy] }
            agents: { p: { kind: probe } }
            """
        let proxies = try load(text).topicProxies
        #expect(proxies.map(\.queueOverflow) == [.pause, .dropNewest])
        #expect(proxies.map(\.queueBytes) == [16_777_216, 16_777_216])
    }

    @Test("a pool verifies, keeps a content for a minute, and fails when it is full")
    func poolDefaults() throws {
        let text = """
            synmesh: 1
            branches: { core: }
            pools: { a: { size: 10MB, slots: 3 } }
            agents: { c: { kind: camera, settings: { pool: a, scene: { points: 1 } } } }
            """
        let pool = try #require(try load(text).pools.first)
        #expect(pool.checksum == .verify)
        #expect(pool.lease == .seconds(60))
        #expect(pool.wait == .seconds(2))
        #expect(pool.whenFull == .fail)
    }

    @Test("a link that one side names is a link on both")
    func links() throws {
        let topology = try load(Self.complete)
        #expect(
            topology.branches.map(\.links) == [
                ["photogrammetry", "thoughts-branch"], ["core"], ["core"],
            ])
    }

    @Test("a relative ipc endpoint is in the run's folder")
    func relativeEndpoint() throws {
        let branch = try load(Self.complete).branch(named: "photogrammetry")
        #expect(branch?.endpoint?.resolved(in: "/run/x") == "ipc:///run/x/photogrammetry")
    }

    @Test(
        "a command speaks and records where it says so, a kind always does",
        arguments: [
            ("kind: probe", true, true), ("command: [./a]", false, false),
            ("{ command: [./a], contract: full }", true, false),
            ("{ command: [./a], contract: full, history: own }", true, true),
            ("{ command: [./a], wire: json, contract: wire }", false, false),
        ])
    func contracts(entry: String, speaks: Bool, keepsHistory: Bool) throws {
        let topology = try load(
            "synmesh: 1\nname: t\nbranches: { core: {} }\nagents:\n  a:\n    \(entry)\n")
        let agent = try #require(topology.agents.first)
        #expect(agent.speaks == speaks)
        #expect(agent.keepsHistory == keepsHistory)
    }

    @Test("replicas are agents with numbers, and a reference to the group means all of them")
    func replicas() throws {
        let topology = try load(Self.complete)
        #expect(
            topology.agents.map(\.name) == ["camera-1", "camera-2", "mesh", "listener", "foreign"])
        #expect(topology.agent(named: "camera-2")?.group == "camera")
        #expect(topology.agents(referredToAs: "camera").map(\.name) == ["camera-1", "camera-2"])
        let listener = try #require(topology.agent(named: "listener"))
        #expect(listener.settings["to"] == ["camera-1", "camera-2", "mesh"])
        #expect(listener.settings["size"] == 1_000)
        #expect(listener.subscribedTopics == ["status", "tot.a"])
        #expect(topology.agent(named: "mesh")?.publishedTopics == ["status.mesh"])
    }

    @Test("settings of a command reach it as JSON, with YAML 1.2's types")
    func freeSettings() throws {
        let foreign = try #require(try load(Self.complete).agent(named: "foreign"))
        #expect(foreign.settings["anything"] == [1, "two", 3.5, ["four": nil]])
        #expect(foreign.settings["on"] == "yes")
        #expect(foreign.wire == .json)
    }

    @Test("a transport's command and environment go before the agent's")
    func launches() throws {
        let topology = try load(Self.complete)
        let foreign = try #require(topology.agent(named: "foreign"))
        let zmq = try #require(foreign.launch(on: .zmq))
        #expect(zmq.program == .command(["python3", "../agents/foreign.py"]))
        #expect(zmq.environment == ["MODE": "base", "KEEP": "1"])
        let nats = try #require(foreign.launch(on: .nats))
        #expect(nats.program == .command(["/bin/sh", "-c", "./foreign-nats --fast"]))
        #expect(nats.environment == ["MODE": "nats", "KEEP": "1"])

        let camera = try #require(topology.agent(named: "camera-1")?.launch(on: .nats))
        #expect(camera.program == .builtIn("synmesh-photogrammetry"))
        #expect(camera.environment == ["LOG": "debug", "LEVEL": "3"])
    }

    @Test("a command for one transport only cannot run on the other")
    func oneTransport() throws {
        let topology = try load(
            """
            synmesh: 1
            nats: { main: }
            branches: { core: }
            agents: { a: { transport: nats, transports: { nats: { command: [./a] } } } }
            """)
        let agent = try #require(topology.agent(named: "a"))
        #expect(agent.launch(on: .zmq) == nil)
        #expect(agent.launch(on: .nats)?.program == .command(["./a"]))
    }

    @Test("agents start in levels, each after what it depends on")
    func startOrder() throws {
        let topology = try load(Self.complete)
        #expect(
            topology.startOrder.map { $0.map(\.name) } == [
                ["mesh", "listener"], ["camera-1", "camera-2"], ["foreign"],
            ])
    }

    @Test("the only branch and the only server need not be named")
    func onlyOne() throws {
        let topology = try load(
            """
            synmesh: 1
            nats: { main: }
            branches: { core: }
            topic_proxies: { topics: { prefixes: status } }
            agents: { probe: { kind: probe, transport: nats } }
            """, file: "meshes/smallest.yaml")
        #expect(topology.name == "smallest")
        let agent = try #require(topology.agents.first)
        #expect(topology.homeBranch(of: agent)?.name == "core")
        #expect(topology.server(of: agent)?.name == "main")
        #expect(topology.server(of: agent)?.maximumPayload == 1_048_576)
        #expect(topology.topicProxies.first?.server == "main")
        #expect(agent.restart.condition == .never)
        #expect(agent.settings == .object([:]))
    }

    @Test(
        "a topic is served by the proxy with the prefix that it is under, by whole names",
        arguments: [
            ("tot", "thoughts"), ("tot.a.b", "thoughts"), ("status", "thoughts"), ("total", nil),
            ("weather", nil),
        ])
    func topicProxy(_ topic: String, _ proxy: String?) throws {
        #expect(try load(Self.complete).topicProxy(for: topic)?.name == proxy)
    }

    @Test("a file of a setting is found from the topology's folder")
    func filesOfSettings() throws {
        let text = """
            synmesh: 1
            branches: { core: }
            agents:
              near: { kind: camera, settings: { cloud: ../clouds/a.ply } }
              far: { kind: camera, settings: { cloud: /data/b.ply } }
            """
        let topology = try load(
            text,
            facts: MachineFacts(isFile: { $0 == "/meshes/../clouds/a.ply" || $0 == "/data/b.ply" })
        )
        #expect(
            topology.agents.map { $0.settings["cloud"] } == [
                "/meshes/../clouds/a.ply", "/data/b.ply",
            ])
    }

    @Test("agents that think together get names, texts and topics; one may stand without brackets")
    func thoughts() throws {
        let topology = try load(
            """
            synmesh: 1
            branches: { core: }
            topic_proxies: { thoughts: { prefixes: [tot, votes, puzzles] } }
            agents:
              coordinator:
                kind: coordinator
                settings:
                  { proposers: proposer, evaluators: [evaluator], subscribe: [tot, votes],
                    puzzles: 3 3 8 8, patience: 200ms }
              proposer: { kind: proposer, replicas: 2, settings: { topics: tot } }
              evaluator: { kind: evaluator, settings: { subscribe: tot, topics: votes } }
              observer: { kind: observer, settings: { subscribe: puzzles, follow: tot } }
            """)
        let coordinator = try #require(topology.agent(named: "coordinator"))
        #expect(coordinator.settings["proposers"] == ["proposer-1", "proposer-2"])
        #expect(coordinator.settings["puzzles"] == ["3 3 8 8"])
        #expect(coordinator.settings["patience"] == 0.2)
        // Also what it only may subscribe to while it runs: a move has to know.
        #expect(topology.agent(named: "observer")?.subscribedTopics == ["puzzles", "tot"])
    }

    @Test("pools that fit the free memory exactly are fine, one byte less is not")
    func pools() {
        let text = "synmesh: 1\npools: { a: { size: 10, slots: 3 }, b: { size: 5, slots: 2 } }"
        func load(free: Int) -> Topology.Outcome {
            Topology.load(
                text: text, file: "a.yaml", facts: MachineFacts(freeSharedMemory: free))
        }
        #expect(load(free: 40).topology != nil)
        #expect(load(free: 39).topology == nil)
    }

    @Test("a socket's path may have 107 bytes, and no more")
    func socketPaths() {
        func load(_ count: Int) -> Topology.Outcome {
            let path = "/" + String(repeating: "x", count: count - 1)
            return Topology.load(
                text: "synmesh: 1\nbranches: { core: { endpoint: \"ipc://\(path)\" } }",
                file: "a.yaml")
        }
        #expect(load(107).topology != nil)
        #expect(load(108).topology == nil)
    }

    @Test("the facts of this machine can be measured")
    func measured() {
        let facts = MachineFacts.measured(runtimeDirectory: "/run/x")
        #expect(facts.freeSharedMemory ?? 0 >= 0)
        #expect(facts.runtimeDirectoryByteCount == 6)
        #expect(facts.isFile("/proc/self/status"))
        #expect(!facts.isFile("/proc/self"))
    }

    @Test(
        "a file that cannot be read is a diagnostic",
        arguments: [
            ("/no/such/file.yaml", "cannot open the file"), ("/dev", "not a regular file"),
            ("/dev/zero", "not a regular file"),
        ])
    func unreadable(_ path: String, _ message: String) {
        let outcome = Topology.load(path: path)
        #expect(outcome.topology == nil)
        #expect(outcome.rendered.hasPrefix("\(path): error: \(message)"))
    }
}
