import Foundation
import JSON
import Synchronization
import TestSupport
import Wire
import ZeroMQ

/// Proxies as a user may have them, with nothing of ours.
///
/// A ROUTER with libzmq's defaults routes one JSON frame on `to` and writes it again; an XSUB and an
/// XPUB pass everything on.
final class ForeignNodes: Sendable {
    private final class Shared: Sendable {
        let endpoints = Mutex<[String]>([])
        let failure = Mutex<String?>(nil)
        let ready = DispatchSemaphore(value: 0)
        let ended = DispatchSemaphore(value: 0)
    }

    let router: String
    let publish: String
    let subscribe: String
    private let shared = Shared()
    private let stop: Int32

    init() throws {
        var ends: [Int32] = [0, 0]
        guard pipe(&ends) == 0 else { throw TestFailure("no pipe") }
        stop = ends[1]
        let shared = shared
        let stopped = ends[0]
        Thread.detachNewThread {
            do {
                try Self.run(until: stopped) { endpoints in
                    shared.endpoints.withLock { $0 = endpoints }
                    shared.ready.signal()
                }
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
        (router, publish, subscribe) = (endpoints[0], endpoints[1], endpoints[2])
    }

    deinit {
        _ = write(stop, "x", 1)
        shared.ended.wait()
        close(stop)
    }

    private static func run(until stopped: Int32, _ ready: ([String]) -> Void) throws {
        let context = try Context()
        var router = try Socket(.router, in: context)
        try router.bind(to: "tcp://127.0.0.1:*")
        var publishers = try Socket(.xsub, in: context)
        try publishers.bind(to: "tcp://127.0.0.1:*")
        var subscribers = try Socket(.xpub, in: context)
        try subscribers.bind(to: "tcp://127.0.0.1:*")
        ready([router.lastEndpoint, publishers.lastEndpoint, subscribers.lastEndpoint])
        while true {
            var items = [
                .fileDescriptor(stopped), router.pollItem(), publishers.pollItem(),
                subscribers.pollItem(),
            ]
            _ = try poll(&items, timeout: .seconds(60))
            if items[0].isReadable { return }
            while let frames = try subscribers.receive() { _ = try publishers.send(frames) }
            while let frames = try publishers.receive() { _ = try subscribers.send(frames) }
            while let frames = try router.receive() {
                guard frames.count == 2, let message = try? Value(parsing: frames[1]),
                    let to = message["to"]?.string
                else { continue }
                _ = try router.send([Array(to.utf8), Array(message.canonical.utf8)])
            }
        }
    }
}
