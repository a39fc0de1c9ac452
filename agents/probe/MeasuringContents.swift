import Glibc
import JSON
import Messaging
import Recording
import Synchronization
import Threads
import Wire

/// `synmesh-probe contents`: what large contents cost from being made to having been looked at.
///
/// Each is made anew, as a camera's would be, and every byte of it is read by its receiver. First
/// one at a time, which tells how long each is on its way; then as many as 64 MB at once, which
/// tells how many there can be in a second.
extension Measuring {
    static func contents(_ order: Order) throws -> Value {
        let counter = ContentCounter(order, count: max(1, order.count / 4) + order.count)
        let thread = try DedicatedThread(named: "listener") { counter.run() }
        try counter.waitUntilAttached()
        let sender = try client("s0", order)
        let single = max(1, order.count / 4)
        for number in 0..<single {
            try counter.wait(until: number)
            try send(number, sender, order)
        }
        try counter.wait(until: single)
        let ahead = max(2, min(1_000, 64_000_000 / order.size))
        let began = clock.now
        for number in single..<single + order.count {
            try counter.wait(until: number - ahead)
            try send(number, sender, order)
        }
        try counter.wait(until: single + order.count)
        let seconds = Double(clock.now - began) / 1e9
        thread.join()
        sender.close()
        let sorted = counter.latencies.prefix(single).sorted()
        return [
            "received": .integer(Int64(counter.latencies.count)),
            "lost": .integer(Int64(single + order.count - counter.latencies.count)),
            "p50_us": .double(Double(sorted[sorted.count / 2]) / 1_000),
            "p99_us": .double(
                Double(sorted[min(sorted.count - 1, sorted.count * 99 / 100)]) / 1_000),
            "per_second": .double(Double(order.count) / seconds),
        ]
    }

    private static func send(_ number: Int, _ sender: AgentClient, _ order: Order) throws {
        let now = clock.now
        let sending = try sender.sendPointCloud(
            to: [.agent("r0")], byteCount: order.size, points: 1
        ) { bytes in
            bytes.initializeMemory(as: UInt8.self, repeating: UInt8(truncatingIfNeeded: number))
            bytes.storeBytes(of: now.littleEndian, as: UInt64.self)
        }
        if let failure = sending.failures.first { throw failure }
    }

    /// The client that receives, on a thread of its own.
    final class ContentCounter: Sendable {
        private struct State {
            var isAttached = false
            var latencies: [UInt64] = []
            var failure: String?
        }

        private let order: Order
        private let count: Int
        private let state = Mutex(State())
        private let received = Atomic<Int>(0)

        init(_ order: Order, count: Int) {
            self.order = order
            self.count = count
        }

        var latencies: [UInt64] { state.withLock { $0.latencies } }

        func waitUntilAttached() throws {
            try wait(while: { state.withLock { !$0.isAttached } })
        }

        func wait(until count: Int) throws {
            try wait(while: { received.load(ordering: .acquiring) < count })
        }

        private func wait(while isToCome: () -> Bool) throws {
            let end = Measuring.clock.now + 20_000_000_000
            while isToCome() {
                if let failure = state.withLock({ $0.failure }) {
                    throw MeasuringError(description: failure)
                }
                guard Measuring.clock.now < end else {
                    throw MeasuringError(description: "nothing came for 20 s")
                }
                sched_yield()
            }
        }

        func run() {
            do {
                try receive()
            } catch {
                state.withLock { $0.failure = "\(error)" }
            }
        }

        private func receive() throws {
            let client = try Measuring.client("r0", order)
            state.withLock { $0.isAttached = true }
            var digest: UInt64 = 0
            var latencies: [UInt64] = []
            while latencies.count < count,
                let envelope = try client.receive(timeout: .seconds(10))
            {
                let sent = try client.receivePointCloud(envelope) { bytes in
                    digest ^= ContentDigest.xxh3(bytes)
                    return UInt64(littleEndian: bytes.loadUnaligned(as: UInt64.self))
                }
                latencies.append(Measuring.clock.now - sent)
                received.store(latencies.count, ordering: .releasing)
            }
            let all = latencies
            state.withLock { $0.latencies = all }
            client.close()
        }
    }
}
