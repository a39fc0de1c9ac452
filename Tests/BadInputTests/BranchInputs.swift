import Control
import Glibc
import JSON
import Recording
import Routing
import TestSupport
import Testing
import Wire
import ZeroMQ

/// What agents, strangers and other proxies may send to the ROUTER of a branch.
@Suite("Bad input: the branch proxy", .serialized, .timeLimit(.minutes(10)))
struct BranchInputs {
    private static func proxy(_ context: Context, history: String? = nil) throws -> ProxyThread {
        try ProxyThread.branch(
            BranchConfiguration(
                name: "core",
                agents: [
                    .init(name: "a"), .init(name: "b"),
                    .init(name: "j", wire: .json, keepsHistory: false),
                ]), in: context, history: history)
    }

    @Test("Whoever sends what to the ROUTER: counted, named, and the next good envelope arrives")
    func router() throws {
        let context = try Context()
        let directory = try TemporaryDirectory()
        let path = directory.file("core.1.mcap")
        let proxy = try Self.proxy(context, history: path)
        let router = proxy.endpoints["router"]
        let names: [String?] = ["a", "j", "stranger", "_branch.other", nil]
        let senders = try names.map {
            try Stranger(.dealer, named: $0, at: router, in: context)
        }
        let receiver = try Stranger(.dealer, named: "b", at: router, in: context)
        try receiver.send(
            [[]]
                + frames(
                    Corpus.envelope(
                        .hello, from: "b", to: .agent(""), 0, Array(#"{"incarnation":1}"#.utf8))))
        let good = try Stranger(.dealer, named: "good", at: router, in: context)
        var corpus: [[[UInt8]]] = Corpus.seedFrames(from: "a", to: "b").map { [$0] }
        for envelope in Corpus.envelopes(from: "a", to: .agent("b")) {
            corpus.append([Array("b".utf8)] + frames(envelope))
            corpus.append([Array("nobody".utf8)] + frames(envelope))
            corpus.append([[]] + frames(envelope))
        }
        try Plan(suite: "router", share: 15).play { round, name, inputs in
            for _ in 0..<Plan.roundSize {
                try inputs.pick(senders).send(inputs.mutate(inputs.pick(corpus)), name)
            }
            for sender in senders { try sender.drain() }
            try good.send([Array("b".utf8)] + frames(Corpus.good(round, to: .agent("b"))), name)
            try eventually(name) {
                while let frames = try receiver.socket.receive() {
                    if envelope(in: frames)?.isGood(round) == true { return () }
                }
                return nil
            }
        }
        let counted = try proxy.command("status")["dead_letters"]?["malformed"]?.integer ?? 0
        #expect(proxy.stop() == nil)
        let history = try HistoryReader.read(path: path)
        #expect(history.notes.isEmpty)
        guard Plan.only == nil else { return }
        #expect(counted > 0)
        let named = history.annotations.reduce(0) { sum, annotation in
            if case .unreadable(let count, _, _, _, _) = annotation { return sum + count }
            return sum
        }
        // Bytes for the proxy itself are no messages that anybody could miss.
        #expect(named > 0 && named <= Int(counted))
    }

    private func frames(_ envelope: Envelope) -> [[UInt8]] { [envelope.header, envelope.content] }

    @Test("Bytes that are no ZMTP, and frames of a gigabyte, take no memory and end nothing")
    func connections() throws {
        let context = try Context()
        let proxy = try Self.proxy(context)
        let topics = try ProxyThread.topics(
            TopicConfiguration(name: "topics", prefixes: ["t"]), in: context)
        let control = try ControlServer(endpoint: "tcp://127.0.0.1:*")
        let endpoints = [
            (proxy.endpoints["router"], "DEALER"), (topics.endpoints["publish"], "XPUB"),
            (topics.endpoints["subscribe"], "XSUB"), (control.endpoint, "DEALER"),
        ]
        let good = try Stranger(.dealer, named: "a", at: proxy.endpoints["router"], in: context)
        let receiver = try Stranger(
            .dealer, named: "b", at: proxy.endpoints["router"], in: context)
        try receiver.send(
            [[]]
                + frames(
                    Corpus.envelope(
                        .hello, from: "b", to: .agent(""), 0, Array(#"{"incarnation":1}"#.utf8))))
        let before = try Self.reservedMax()
        try Plan(suite: "connections", share: 5).play { round, name, inputs in
            for _ in 0..<Plan.roundSize / 2 {
                let (endpoint, pattern) = inputs.pick(endpoints)
                let connection = try RawConnection(to: endpoint)
                let opening = RawConnection.greeting() + RawConnection.ready(pattern)
                let length = inputs.pick([1 << 30, 1 << 31, 1 << 40, 1 << 62, UInt64.max])
                switch inputs.number(below: 4) {
                case 0: connection.write(inputs.noise(upTo: 2_000))
                case 1: connection.write(inputs.mutate(opening))
                case 2:
                    connection.write(opening + RawConnection.longFrame(ofLength: length))
                    connection.write(inputs.noise(upTo: 100))
                default:
                    let flags = UInt8(inputs.number(below: 256))
                    connection.write(
                        opening + RawConnection.longFrame(ofLength: length, flags: flags)
                            + inputs.noise(upTo: 100))
                }
            }
            try good.send([Array("b".utf8)] + frames(Corpus.good(round, to: .agent("b"))), name)
            try eventually(name) {
                while let frames = try receiver.socket.receive() {
                    if envelope(in: frames)?.isGood(round) == true { return () }
                }
                return nil
            }
        }
        // What was asked for is address space first: a single one of those frames would show.
        let after = try Self.reservedMax()
        #expect(after - before < 1 << 30)
        control.close()
    }

    /// The most address space that this process ever had.
    private static func reservedMax() throws -> Int {
        let status = String(decoding: try CodecInputs.bytes(of: "/proc/self/status"), as: UTF8.self)
        let line = try #require(status.split(separator: "\n").first { $0.hasPrefix("VmPeak") })
        let number = try #require(line.split(separator: " ").compactMap { Int($0) }.first)
        return number * 1_024
    }

    @Test("Whatever a command's arguments are, it is answered")
    func commands() throws {
        let context = try Context()
        let branch = try Self.proxy(context)
        let topics = try ProxyThread.topics(
            TopicConfiguration(name: "topics", prefixes: ["t"]), in: context)
        let corpus: [(String, String)] = [
            ("hold", #"{"agent": "a", "topics": ["t.a"], "epoch": 3}"#),
            ("release", #"{"agent": "a", "transport": "zmq", "epoch": 4, "topics": ["t"]}"#),
            ("link", #"{"name": "far", "endpoint": "ipc:///nowhere", "agents": ["z"]}"#),
            ("link", #"{"links": [{"name": "far", "endpoint": "x", "agents": ["z"]}]}"#),
            ("status", "{}"), ("fly", "{}"),
        ]
        try Plan(suite: "commands", share: 5).play { _, name, inputs in
            for _ in 0..<Plan.roundSize {
                let (command, text) = inputs.pick(corpus)
                guard let arguments = try? Value(parsing: inputs.mutate(Array(text.utf8))) else {
                    continue
                }
                for proxy in [branch, topics] {
                    do {
                        try proxy.command(command, arguments, timeout: patience)
                    } catch RoutingError.refused {
                        continue
                    }
                }
            }
            for proxy in [branch, topics] {
                let status = try proxy.command("status")
                #expect(status.object != nil, name)
            }
        }
    }
}
