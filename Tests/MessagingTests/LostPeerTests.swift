import Glibc
import JSON
import Recording
import Routing
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Messaging

/// A branch's ROUTER that answers hellos, in a process that can be frozen.
private let branchProgram = """
    import struct, sys, zmq
    router = zmq.Context().socket(zmq.ROUTER)
    port = router.bind_to_random_port("tcp://127.0.0.1")
    print(port, flush=True)
    while True:
        frames = router.recv_multipart()
        if len(frames) != 4 or frames[2][1] != 6:
            continue
        header = struct.pack("<BBBBBIQQ", 1, 6, 1, 0, 0, 1, 0, 1)
        for text in ("_branch.core", "a", "hello"):
            header += bytes([len(text)]) + text.encode()
        answer = b'{"branch":"core","incarnation":1,"registered":true,"peer_timeout_ms":300}'
        router.send_multipart([frames[0], header, answer])
    """

@Suite("Agents whose branch or connection is lost", .timeLimit(.minutes(2)))
struct LostPeerTests {
    private let context: Context
    private let clock = RunClock.starting()

    init() throws { context = try Context() }

    private func note(_ recorder: MemoryRecorder, _ part: String) -> Bool {
        recorder.annotations.contains { annotation in
            if case .note(let text, _) = annotation { text.contains(part) } else { false }
        }
    }

    /// Has a client listen until its history says something.
    private func hear(
        _ client: AgentClient, _ recorder: MemoryRecorder, until part: String
    ) throws {
        let end = ContinuousClock.now + .seconds(30)
        while !note(recorder, part) {
            guard ContinuousClock.now < end else {
                throw TestFailure("no '\(part)' in \(recorder.annotations)")
            }
            _ = try client.receive(timeout: .milliseconds(100))
        }
    }

    @Test("An agent's history says that its proxy is frozen, and that it answers again")
    func frozenProxy() throws {
        var ends: [Int32] = [0, 0]
        try #require(pipe(&ends) == 0)
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin"
        let process = try spawn(
            ["/usr/bin/env", "python3", "-c", branchProgram], environment: ["PATH=\(path)"],
            output: ends[1])
        defer {
            kill(process, SIGKILL)
            waitpid(process, nil, 0)
            close(ends[0])
            close(ends[1])
        }
        var buffer = [UInt8](repeating: 0, count: 64)
        let count = read(ends[0], &buffer, buffer.count)
        let port = String(decoding: buffer.prefix(max(0, count)), as: UTF8.self)
            .filter(\.isNumber)
        let recorder = MemoryRecorder()
        let client = try AgentClient(
            name: "a", incarnation: 1, clock: clock,
            transport: try ZeroMQTransport(
                ZeroMQTransport.Configuration(
                    agent: "a", incarnation: 1, branch: "tcp://127.0.0.1:\(port)"),
                clock: clock, in: context),
            recorder: recorder)
        #expect(try client.receive(timeout: .milliseconds(50)) == nil)
        kill(process, SIGSTOP)
        try hear(client, recorder, until: "the branch's proxy is silent")
        kill(process, SIGCONT)
        try hear(client, recorder, until: "the branch's proxy answers again")
    }

    @Test("Who accepts a connection and greets nobody is found silent, too")
    func frozenBeforeGreeting() throws {
        // The kernel accepts for it.
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                #expect(bind(listener, $0, length) == 0)
                #expect(listen(listener, 16) == 0)
                #expect(getsockname(listener, $0, &length) == 0)
            }
        }
        let beat = try Beat.toBranch(
            at: "tcp://127.0.0.1:\(UInt16(bigEndian: address.sin_port))", of: "a",
            within: .milliseconds(100), clock: clock, in: context)
        var remark: String?
        let end = ContinuousClock.now + .seconds(30)
        while remark == nil, ContinuousClock.now < end {
            var items = [beat.pollItem]
            _ = try poll(&items, timeout: .seconds(1))
            remark = try beat.look()
        }
        #expect(remark?.hasPrefix("the branch's proxy is silent") == true)
    }

    @Test("An agent that is asked says hello again, and all that waits for it comes")
    func saysHelloAgain() throws {
        let branch = try ProxyThread.branch(
            BranchConfiguration(name: "core", agents: [.init(name: "a"), .init(name: "b")]),
            in: context)
        defer { branch.stop() }
        let endpoint = try #require(branch.endpoints["router"])
        let relay = try Relay(to: endpoint)
        func client(_ name: String, at endpoint: String, window: Int) throws -> (
            AgentClient, MemoryRecorder
        ) {
            var configuration = ZeroMQTransport.Configuration(
                agent: name, incarnation: 1, branch: endpoint)
            configuration.window = window
            let recorder = MemoryRecorder()
            var limits = Receiver.Limits()
            limits.time = .milliseconds(50)
            return (
                try AgentClient(
                    name: name, incarnation: 1, clock: clock,
                    transport: try ZeroMQTransport(configuration, clock: clock, in: context),
                    recorder: recorder, limits: limits), recorder
            )
        }
        let (sender, _) = try client("a", at: endpoint, window: 1_000)
        let (receiver, recorder) = try client("b", at: relay.endpoint, window: 4)
        relay.swallow()
        for number in 1...20 {
            try sender.send(to: "b", type: "test", content: Array("\(number)".utf8))
        }
        try awaitStatus(branch, "queued") { $0["agents"]?["b"]?["queued"] == 16 }
        try relay.cut()
        var last: Envelope?
        let end = ContinuousClock.now + .seconds(30)
        while last?.sequence != 20, ContinuousClock.now < end {
            last = try receiver.receive(timeout: .milliseconds(100)) ?? last
        }
        #expect(recorder.envelopes(.delivered).map(\.sequence) == Array(5...20))
        // What was lost is not hidden.
        #expect(
            recorder.annotations.contains { annotation in
                if case .gap(_, _, 1, 4, _, _, _) = annotation { true } else { false }
            })
    }

    @Test("What is held for a gap takes no credit from what it waits for, nor from others")
    func heldCredit() throws {
        let branch = try ProxyThread.branch(
            BranchConfiguration(
                name: "core", agents: ["a", "b", "c"].map { .init(name: $0) }),
            in: context)
        defer { branch.stop() }
        let endpoint = try #require(branch.endpoints["router"])
        var configuration = ZeroMQTransport.Configuration(
            agent: "b", incarnation: 1, branch: endpoint)
        configuration.window = 4
        var limits = Receiver.Limits()
        limits.time = .seconds(600)
        let receiver = try AgentClient(
            name: "b", incarnation: 1, clock: clock,
            transport: try ZeroMQTransport(configuration, clock: clock, in: context),
            limits: limits)
        func open(_ name: String) throws -> Socket {
            var socket = try Socket(
                .dealer, in: context, options: SocketOptions(routingID: name))
            try socket.connect(to: endpoint)
            return socket
        }
        func envelope(_ source: String, _ sequence: UInt64) -> Envelope {
            Envelope(
                identity: Identity(
                    flow: Flow(source: source, destination: .agent("b")), incarnation: 1,
                    sequence: sequence), type: "test", sent: 1, content: [])
        }
        var one = try open("a")
        for sequence in Array(2...40) + [1] {
            let next = envelope("a", UInt64(sequence))
            #expect(try one.send([Array("b".utf8), next.header, []]) == .sent)
        }
        var order: [UInt64] = []
        while order.count < 40, let next = try receiver.receive(timeout: .seconds(20)) {
            order.append(next.sequence)
        }
        #expect(order == Array(1...40))
        for sequence: UInt64 in 42...60 {
            let next = envelope("a", sequence)
            #expect(try one.send([Array("b".utf8), next.header, []]) == .sent)
        }
        try awaitStatus(branch, "60") { $0["messages"] == 59 }
        var two = try open("c")
        let other = envelope("c", 1)
        #expect(try two.send([Array("b".utf8), other.header, []]) == .sent)
        #expect(try receiver.receive(timeout: .seconds(20))?.source == "c")
    }

    private func awaitStatus(
        _ branch: ProxyThread, _ what: String, _ holds: (Value) -> Bool
    ) throws {
        let end = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < end {
            if holds(try branch.command("status")) { return }
            usleep(1_000)
        }
        throw TestFailure("no '\(what)': \(try branch.command("status").canonical)")
    }
}
