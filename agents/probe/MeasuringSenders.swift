import JSON
import Messaging
import Threads
import Wire
import ZeroMQ

/// `synmesh-probe senders`: what one message costs of somebody who is there for that message alone.
///
/// From when the sender comes to be until its message has been handed out; with `--shared 1` it
/// takes its connection from a pool, with `--shared 0` it makes one.
extension Measuring {
    static func senders(_ order: Order) throws -> Value {
        let counter = ContentCounter(order, count: order.count)
        let thread = try DedicatedThread(named: "listener") { counter.run() }
        try counter.waitUntilAttached()
        let context = try Context()
        let shared = Connections(in: context)
        let began = clock.now
        for number in 0..<order.count {
            let now = clock.now
            let transport = SendingTransport(
                to: order.endpoint, agent: "sender-\(number)", incarnation: 1, clock: clock,
                over: order.isShared ? shared : Connections(in: context))
            let sender = try AgentClient(
                name: "sender-\(number)", incarnation: 1, clock: clock, transport: transport)
            try sender.send(
                to: "r0", type: "message",
                content: withUnsafeBytes(of: now.littleEndian, Array.init))
            sender.close()
            try counter.wait(until: number + 1)
        }
        let seconds = Double(clock.now - began) / 1e9
        thread.join()
        let sorted = counter.latencies.sorted()
        return [
            "lost": .integer(Int64(order.count - sorted.count)),
            "p50_us": .double(Double(sorted[sorted.count / 2]) / 1_000),
            "p99_us": .double(
                Double(sorted[min(sorted.count - 1, sorted.count * 99 / 100)]) / 1_000),
            "per_second": .double(Double(order.count) / seconds),
            "opened": .integer(Int64(order.isShared ? Int(shared.counters.opened) : order.count)),
        ]
    }
}
