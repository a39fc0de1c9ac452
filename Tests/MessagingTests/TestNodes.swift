import Foundation
import JSON
import Messaging
import Synchronization
import TestSupport
import Wire
import ZeroMQ

/// A branch's ROUTER and a topic proxy on one thread: what agents rely on and nothing more, with
/// counters for the tests.
final class TestNodes: Sendable {
    /// What the nodes saw.
    struct Observed: Sendable {
        var hellos: [String] = []
        var grants: [Int] = []
        /// Envelopes waiting for credit, at most.
        var queuedMax = 0
        /// Sent to one agent without being granted again, at most.
        var outstandingMax = 0
    }

    fileprivate final class Shared: Sendable {
        let observed = Mutex(Observed())
        let endpoints = Mutex<[String]>([])
        let failure = Mutex<String?>(nil)
        let ready = DispatchSemaphore(value: 0)
        let ended = DispatchSemaphore(value: 0)
    }

    /// Where agents connect.
    let branch: String
    let topics: TopicProxyEndpoints
    private let shared = Shared()
    private let stop: Int32

    var observed: Observed { shared.observed.withLock { $0 } }

    init(prefixes: [String]) throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw TestFailure("no pipe") }
        stop = ends[1]
        let shared = shared
        let stopped = ends[0]
        Thread.detachNewThread {
            do {
                var loop = try Loop()
                shared.endpoints.withLock { $0 = loop.endpoints }
                shared.ready.signal()
                try loop.run(until: stopped, shared)
            } catch {
                shared.failure.withLock { $0 = "\(error)" }
                shared.ready.signal()
            }
            close(stopped)
            shared.ended.signal()
        }
        shared.ready.wait()
        let endpoints = shared.endpoints.withLock { $0 }
        guard endpoints.count == 3 else {
            throw TestFailure(shared.failure.withLock { $0 } ?? "unknown")
        }
        branch = endpoints[0]
        topics = TopicProxyEndpoints(
            name: "topics", publish: endpoints[1], subscribe: endpoints[2], prefixes: prefixes)
    }

    deinit {
        // A byte, not only the end: a child process may have inherited the pipe.
        _ = write(stop, "x", 1)
        shared.ended.wait()
        close(stop)
    }
}

private struct Loop: ~Copyable {
    private struct Peer {
        var window = 0
        var credit = 0
        var queue: [[[UInt8]]] = []
    }

    let endpoints: [String]
    private var router: Socket
    private var publishers: Socket
    private var subscribers: Socket
    private var peers: [[UInt8]: Peer] = [:]

    init() throws {
        let context = try Context()
        let noLimit = SocketOptions(
            sendHighWaterMark: 0, receiveHighWaterMark: 0, routerMandatory: true,
            routerHandover: true, xpubNoDrop: true)
        var router = try Socket(.router, in: context, options: noLimit)
        try router.bind(to: "tcp://127.0.0.1:*")
        var publishers = try Socket(.xsub, in: context, options: noLimit)
        try publishers.bind(to: "tcp://127.0.0.1:*")
        _ = try publishers.send([[1]])
        var subscribers = try Socket(.xpub, in: context, options: noLimit)
        try subscribers.bind(to: "tcp://127.0.0.1:*")
        endpoints = [router.lastEndpoint, publishers.lastEndpoint, subscribers.lastEndpoint]
        self.router = router
        self.publishers = publishers
        self.subscribers = subscribers
    }

    mutating func run(
        until stopped: Int32, _ shared: TestNodes.Shared
    ) throws {
        while true {
            var items = [
                .fileDescriptor(stopped), router.pollItem(), publishers.pollItem(),
                subscribers.pollItem(),
            ]
            _ = try poll(&items, timeout: .seconds(60))
            if items[0].isReadable { return }
            while let frames = try subscribers.receive() { try confirm(frames[0]) }
            while let frames = try router.receive() { try route(frames, shared) }
            while let frames = try publishers.receive() { _ = try subscribers.send(frames) }
        }
    }

    private mutating func confirm(_ subscription: [UInt8]) throws {
        let topic = Array(subscription.dropFirst())
        guard subscription.first == 1, topic.starts(with: Array("_confirm.".utf8)) else { return }
        let answer = Envelope(
            identity: Identity(
                flow: Flow(source: "topics", destination: .agent("")), incarnation: 1, sequence: 0),
            kind: .hello, type: "hello", sent: 0)
        _ = try subscribers.send([topic, answer.header, []])
    }

    private mutating func route(
        _ frames: [[UInt8]], _ shared: TestNodes.Shared
    ) throws {
        let (peer, destination, header, content) = (frames[0], frames[1], frames[2], frames[3])
        guard destination.isEmpty else {
            guard peers[destination] != nil else { return }
            peers[destination]?.queue.append([destination, header, content])
            return try flush(destination, shared)
        }
        let envelope = try Envelope(header: header, content: content)
        switch envelope.kind {
        case .hello:
            let window = Int(try Value(parsing: content)["window"]?.integer ?? 0)
            peers[peer, default: Peer()].window = window
            peers[peer]?.credit = window
            shared.observed.withLock { $0.hellos.append(String(decoding: peer, as: UTF8.self)) }
            _ = try router.send([peer, header, content])
            try flush(peer, shared)
        case .credit:
            let count = Int(String(decoding: content, as: UTF8.self)) ?? 0
            peers[peer]?.credit += count
            shared.observed.withLock { $0.grants.append(count) }
            try flush(peer, shared)
        case .marker: _ = try router.send([peer, header, content])
        default: break
        }
    }

    private mutating func flush(
        _ name: [UInt8], _ shared: TestNodes.Shared
    ) throws {
        guard var peer = peers[name] else { return }
        while peer.credit > 0, !peer.queue.isEmpty {
            guard try router.send(peer.queue.removeFirst()) == .sent else { continue }
            peer.credit -= 1
        }
        peers[name] = peer
        shared.observed.withLock {
            $0.queuedMax = max($0.queuedMax, peer.queue.count)
            $0.outstandingMax = max($0.outstandingMax, peer.window - peer.credit)
        }
    }
}
