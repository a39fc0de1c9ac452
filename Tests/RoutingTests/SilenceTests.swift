import Glibc
import JSON
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

/// What an agent's connection for heartbeats is, by hand, in a process that can be frozen.
///
/// Python, as it is a program of its own with libzmq's own thread; the test can freeze neither of its
/// own.
private let peerProgram = """
    import os, signal, sys, zmq
    kind, endpoint, name = sys.argv[1:4]
    is_early = kind == "early"
    kind = "branch" if is_early else kind
    context = zmq.Context()
    main = context.socket(zmq.DEALER if kind == "branch" else zmq.SUB)
    beat = context.socket(zmq.DEALER if kind == "branch" else zmq.SUB)
    beat.setsockopt(zmq.HEARTBEAT_IVL, 100)
    beat.setsockopt(zmq.HEARTBEAT_TIMEOUT, 100)
    beat.setsockopt(zmq.HEARTBEAT_TTL, 200)
    beat.setsockopt(zmq.RECONNECT_IVL, 5)
    if kind == "branch":
        import struct
        main.setsockopt(zmq.ROUTING_ID, name.encode())
        beat.setsockopt(zmq.ROUTING_ID, b"_beat." + name.encode())
        main.connect(endpoint)
        header = struct.pack("<BBBBBIQQ", 1, 6, 1, 0, 0, 1, 0, 1)
        for text in (name, "", "hello"):
            header += bytes([len(text)]) + text.encode()
        hello = b'{"incarnation":1,"window":100000,"beats":true}'
        main.send_multipart([b"", header, hello])
    else:
        main.subscribe("tot")
        main.subscribe("_marker." + name)
        main.connect(endpoint)
        beat.subscribe("_beat." + name)
    if is_early:
        main.poll()
        os.kill(os.getpid(), signal.SIGSTOP)
    beat.connect(endpoint)
    print("up", flush=True)
    count = 0
    while True:
        # libzmq subscribes again when its socket is looked at.
        beat.poll(0)
        if not main.poll(20):
            continue
        frames = main.recv_multipart()
        if frames[-1] == b"end":
            print("got", count, flush=True)
            count = 0
        elif kind == "topics" or frames[0][1] == 1:
            count += 1
    """

@Suite("Peers that do not answer", .timeLimit(.minutes(2)))
struct SilenceTests {
    let context: Context

    init() throws { context = try Context() }

    private func start(_ kind: String, _ endpoint: String?) throws -> Program {
        try Program([
            "/usr/bin/env", "python3", "-c", peerProgram, kind, try #require(endpoint), "b",
        ])
    }

    private func peer(_ kind: String, _ endpoint: String?) throws -> Program {
        let program = try start(kind, endpoint)
        _ = try eventually("the peer") { program.written().contains("up") ? () : nil }
        return program
    }

    /// Stops a peer until it is said to be silent.
    ///
    /// One whose connection for heartbeats is there, and that is stopped before it has sent the first,
    /// cannot be missed: it is let go, and stopped again.
    private func freeze(_ program: Program, _ log: Log) throws {
        _ = try eventually("SILENT: b does not answer") {
            program.signal(SIGSTOP)
            let end = ContinuousClock.now + .seconds(2)
            while ContinuousClock.now < end {
                if log.lines.contains(where: { $0.hasPrefix("SILENT: b does not answer") }) {
                    return ()
                }
                usleep(1_000)
            }
            program.signal(SIGCONT)
            return nil
        }
    }

    private func said(_ log: Log, _ beginning: String) throws {
        _ = try eventually(beginning) {
            log.lines.contains { $0.hasPrefix(beginning) } ? () : nil
        }
    }

    private func beats(_ proxy: ProxyThread) throws {
        _ = try eventually("its heartbeats") {
            try proxy.status("agents", "b", "beats") == true ? () : nil
        }
    }

    @Test("A frozen agent is named, keeps what is for it, and is named when it is back")
    func frozenAgent() throws {
        let log = Log()
        var configuration = BranchConfiguration(
            name: "core", agents: [.init(name: "a"), .init(name: "b")])
        configuration.peerTimeout = .milliseconds(300)
        let proxy = try ProxyThread.branch(configuration, in: context, log: log.append)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let two = try peer("branch", proxy.endpoints["router"])
        _ = try eventually("its hello") {
            try proxy.status("agents", "b", "attached") == true ? () : nil
        }
        try beats(proxy)
        try freeze(two, log)
        #expect(try proxy.status("agents", "b", "silent") == true)
        #expect(
            try proxy.status("report").array?.contains {
                $0.string?.hasPrefix("Silent: b, for ") ?? false
            } == true)
        for sequence in 1...5_000 { try one.send(agentEnvelope("a", "b", UInt64(sequence))) }
        try one.send(agentEnvelope("a", "b", 5_001, content: Array("end".utf8)))
        try one.passMarker()
        two.signal(SIGCONT)
        try said(log, "ANSWERS: b answers again")
        var written = ""
        _ = try eventually("all that was kept") {
            written += two.written()
            return written.contains("got 5000") ? () : nil
        }
        #expect(try proxy.status("agents", "b", "silent") == false)
        #expect(try proxy.status("dead_letters") == [:])
    }

    @Test("An agent that freezes before its first heartbeat is named, and when it is back")
    func frozenEarly() throws {
        let log = Log()
        var configuration = BranchConfiguration(
            name: "core", agents: [.init(name: "a"), .init(name: "b")])
        configuration.peerTimeout = .milliseconds(300)
        let proxy = try ProxyThread.branch(configuration, in: context, log: log.append)
        let frozen = try start("early", proxy.endpoints["router"])
        try said(log, "SILENT: b does not answer")
        #expect(try proxy.status("agents", "b", "silent") == true)
        // It stopped itself before it said so.
        #expect(frozen.written() == "")
        frozen.signal(SIGCONT)
        try said(log, "ANSWERS: b answers again")
        try beats(proxy)
        #expect(log.lines.filter { $0.hasPrefix("SILENT") }.count == 1)
    }

    @Test("An agent that ends is gone, not silent")
    func endedAgent() throws {
        let log = Log()
        var configuration = BranchConfiguration(
            name: "core", agents: [.init(name: "a"), .init(name: "b")])
        configuration.peerTimeout = .milliseconds(300)
        let proxy = try ProxyThread.branch(configuration, in: context, log: log.append)
        let two = try peer("branch", proxy.endpoints["router"])
        _ = try eventually("its hello") {
            try proxy.status("agents", "b", "attached") == true ? () : nil
        }
        try beats(proxy)
        two.end()
        // Another one that freezes meanwhile shows that the time for b is over.
        let three = try peer("branch", proxy.endpoints["router"])
        _ = try eventually("its hello") {
            try proxy.status("agents", "b", "reachable") == true ? () : nil
        }
        try beats(proxy)
        try freeze(three, log)
        #expect(log.lines.filter { $0.hasPrefix("SILENT") }.count == 1)
    }

    @Test("Somebody without heartbeats is silent when it takes nothing of what waits for it")
    func stuckPeer() throws {
        let log = Log()
        var configuration = BranchConfiguration(
            name: "core", agents: [.init(name: "a"), .init(name: "b")])
        configuration.peerTimeout = .milliseconds(100)
        let proxy = try ProxyThread.branch(configuration, in: context, log: log.append)
        let one = try Dealer("a", at: proxy.endpoints["router"], in: context)
        let two = try Dealer("b", at: proxy.endpoints["router"], in: context, highWaterMark: 1)
        try two.attach()
        let content = [UInt8](repeating: 7, count: 20_000)
        for sequence in 1...2_500 {
            try one.send(agentEnvelope("a", "b", UInt64(sequence), content: content))
        }
        try said(log, "SILENT: b takes nothing")
        #expect(try two.receive(2_500).count == 2_500)
        try said(log, "ANSWERS: b answers again")
        #expect(try proxy.status("dead_letters") == [:])
    }

    @Test("A frozen subscriber is named, and when it is back")
    func frozenSubscriber() throws {
        let log = Log()
        var configuration = TopicConfiguration(name: "tot", prefixes: ["tot"])
        configuration.peerTimeout = .milliseconds(300)
        let proxy = try ProxyThread.topics(configuration, in: context, log: log.append)
        let publisher = try TopicPeer(publishingTo: proxy.endpoints["publish"], in: context)
        let subscriber = try peer("topics", proxy.endpoints["subscribe"])
        _ = try eventually("its heartbeats") {
            try proxy.status("beating") == ["b"] ? () : nil
        }
        try freeze(subscriber, log)
        #expect(try proxy.status("silent") == ["b"])
        for sequence in 1...500 {
            try publisher.publish(topicEnvelope("p", "tot", UInt64(sequence)))
        }
        try publisher.send([Array("tot".utf8), Array("end".utf8)])
        subscriber.signal(SIGCONT)
        try said(log, "ANSWERS: b answers again")
        var written = ""
        _ = try eventually("all that was kept") {
            written += subscriber.written()
            return written.contains("got 500") ? () : nil
        }
        #expect(try proxy.status("cuts") == 0)
    }
}
