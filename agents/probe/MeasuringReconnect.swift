import Glibc
import JSON
import Messaging
import Synchronization
import Threads
import Wire

/// `synmesh-probe reconnect`: how long after a proxy is back messages pass again.
///
/// Two attached clients; the proxy's process is killed, and somebody else starts it again at the
/// same endpoints. The time begins when these can be connected to, and ends when a message of one
/// client has been handed out by the other. Nothing is on its way when the proxy is killed: what is
/// lost then is another matter, and on a topic each message begins a flow of its own, since those
/// before the subscriber's return are lost too.
extension Measuring {
    static func reconnect(_ order: Order) throws -> Value {
        let listener = FirstArrival(order)
        let thread = try DedicatedThread(named: "listener") { listener.run() }
        try listener.wait(for: .attached)
        let sender = try client("s\(order.pair)", order)
        if order.publish.isEmpty {
            try sender.send(to: "r\(order.pair)", type: "message", content: [])
        } else {
            try sender.publish(topic: "bench\(order.pair).before", type: "message", content: [])
        }
        try listener.wait(for: .heard)
        guard kill(order.victim, SIGKILL) == 0 else {
            throw MeasuringError(description: "there is no process \(order.victim)")
        }
        // Its connections are closed: what is sent from now on waits for the next one.
        try waitUntilGone(order.victim)
        let speaker = try DedicatedThread(named: "sender") { [sender = Speaking(client: sender)] in
            var number = 0
            while !listener.isDone {
                number += 1
                sender.speak(number, order)
                usleep(500)
            }
        }
        let endpoints = order.publish.isEmpty ? [order.endpoint] : [order.publish, order.subscribe]
        for endpoint in endpoints { try waitUntilBound(endpoint) }
        let bound = clock.now
        listener.listen(from: bound)
        try listener.wait(for: .heardAgain)
        speaker.join()
        thread.join()
        return ["ms": .double(Double(listener.heardAt - bound) / 1e6)]
    }

    private static func waitUntilGone(_ process: Int32) throws {
        let end = clock.now + 10_000_000_000
        while kill(process, 0) == 0 {
            guard clock.now < end else { throw MeasuringError(description: "it did not end") }
            usleep(100)
        }
    }

    private static func waitUntilBound(_ endpoint: String) throws {
        guard let port = endpoint.split(separator: ":").last.flatMap({ UInt16($0) }) else {
            throw MeasuringError(description: "'\(endpoint)' has no port")
        }
        let end = clock.now + 20_000_000_000
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        while clock.now < end {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            let result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            if result == 0 { return }
            usleep(100)
        }
        throw MeasuringError(description: "\(endpoint) did not come back")
    }

    // The one thread that is given the client is the only one that uses it from then on.
    private struct Speaking: @unchecked Sendable {
        let client: AgentClient

        func speak(_ number: Int, _ order: Order) {
            // What finds no room is dropped, and the next may find some.
            if order.publish.isEmpty {
                // Waits like any other: what was lost would be waited for.
                _ = try? client.send(to: "r\(order.pair)", type: "message", content: [])
            } else {
                _ = try? client.publish(
                    topic: "bench\(order.pair).t\(number)", type: "message", content: [],
                    patience: .zero)
            }
        }
    }

    /// The client that receives, on a thread of its own.
    private final class FirstArrival: Sendable {
        enum Stage: Int { case attached = 1, heard, heardAgain }

        private let order: Order
        private let stage = Atomic<Int>(0)
        /// From when on what comes counts; nothing before it is known.
        private let since = Atomic<UInt64>(.max)
        private let arrival = Atomic<UInt64>(0)
        private let failure = Mutex<String?>(nil)

        init(_ order: Order) { self.order = order }

        var isDone: Bool { stage.load(ordering: .acquiring) >= Stage.heardAgain.rawValue }
        var heardAt: UInt64 { arrival.load(ordering: .acquiring) }

        func listen(from time: UInt64) { since.store(time, ordering: .releasing) }

        func wait(for wanted: Stage) throws {
            let end = Measuring.clock.now + 20_000_000_000
            while stage.load(ordering: .acquiring) < wanted.rawValue {
                if let failure = failure.withLock({ $0 }) {
                    throw MeasuringError(description: failure)
                }
                guard Measuring.clock.now < end else {
                    throw MeasuringError(description: "nothing came for 20 s (\(wanted))")
                }
                usleep(200)
            }
        }

        func run() {
            do {
                let client = try Measuring.client("r\(order.pair)", order)
                if !order.publish.isEmpty { try client.subscribe(to: "bench\(order.pair)") }
                stage.store(Stage.attached.rawValue, ordering: .releasing)
                let end = Measuring.clock.now + 30_000_000_000
                while Measuring.clock.now < end, !isDone {
                    guard let envelope = try client.receive(timeout: .milliseconds(50)) else {
                        continue
                    }
                    let now = Measuring.clock.now
                    if stage.load(ordering: .acquiring) == Stage.attached.rawValue {
                        stage.store(Stage.heard.rawValue, ordering: .releasing)
                    } else if envelope.sequence > 1 || !order.publish.isEmpty {
                        note(now)
                    }
                }
                client.close()
            } catch {
                failure.withLock { $0 = "\(error)" }
                stage.store(0, ordering: .releasing)
            }
        }

        /// The first after the proxy was killed; it may be seen before its bind is.
        private func note(_ now: UInt64) {
            if heardAt == 0 { arrival.store(now, ordering: .releasing) }
            guard since.load(ordering: .acquiring) != .max else { return }
            arrival.store(
                max(heardAt, since.load(ordering: .acquiring)), ordering: .releasing)
            stage.store(Stage.heardAgain.rawValue, ordering: .releasing)
        }
    }
}
