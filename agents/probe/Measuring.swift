import AgentRuntime
import Glibc
import JSON
import Messaging
import Recording
import Synchronization
import Threads
import Wire
import ZeroMQ

/// What `synmesh bench` measures of the SDK: two clients, one sends what the other receives.
///
/// Prints one line of JSON with the names that the C reference prints.
enum Measuring {
    static let usage = """
        usage: synmesh-probe throughput|latency|contents --transport zmq|nats --endpoint ENDPOINT
                   [--count N] [--size BYTES] [--rate A_SECOND] [--history FOLDER|none]
                   [--keep-from BYTES] [--batch MESSAGES [--batch-latency-ms T]]
                   [--send at_once|buffered] [--delivery at_most_once|at_least_once]
               synmesh-probe reconnect --endpoint ENDPOINT --kill PROCESS
                   [--publish ENDPOINT --subscribe ENDPOINT] [--pair N]
               synmesh-probe senders --endpoint ENDPOINT [--count N] [--shared 1|0]
               synmesh-probe clouds --endpoint ENDPOINT [--pool FILE] [--count N] [--size BYTES]
               synmesh-probe pool --pool FILE [--count N] [--size BYTES] [--loans N]
               synmesh-probe records --history FOLDER [--count N] [--size BYTES]
        Without arguments it is an agent, started by 'synmesh up' or 'synmesh run'.
        """

    enum Role: String {
        case throughput, latency, contents, reconnect, senders, clouds, pool, records
        /// The other side of `pool`, which starts it.
        case poolReader = "pool-reader"
    }

    struct Order: Sendable {
        var role = Role.throughput
        var transport = Transport.zmq
        var endpoint = ""
        var count = 100_000
        var size = 256
        /// So many a second; nil is as fast as there is room, or 2,000 where latencies are told.
        var rate: Int?
        var history: String?
        /// When what is published on NATS leaves.
        var sending = NATSSending.atOnce
        /// The file of a shared-memory pool.
        var pool: String?
        /// Of so many hand-offs without a copy the one in the middle counts.
        var loans = 101
        /// Contents of at least this many bytes are not copied.
        var keepFrom = InPlace.threshold
        var batch: Int?
        var batchLatency = 5
        /// The class of what is sent.
        var delivery = DeliveryClass.atMostOnce
        /// The proxy's process that is killed.
        var victim: Int32 = 0
        /// Which pair of agents the clients are.
        var pair = 0
        /// Whether short-lived senders share their connections.
        var isShared = true
        /// The topic proxy's endpoints, where topics are measured.
        var (publish, subscribe) = ("", "")

        var isLatency: Bool { role == .latency }

        init?(_ words: [String]) {
            guard let role = words.first.flatMap(Role.init), words.count % 2 == 1 else {
                return nil
            }
            self.role = role
            for index in stride(from: 1, to: words.count, by: 2) {
                let (name, value) = (words[index], words[index + 1])
                switch (name, Int(value)) {
                case ("--transport", _):
                    guard let transport = Transport(rawValue: value) else { return nil }
                    self.transport = transport
                case ("--endpoint", _): endpoint = value
                case ("--send", _):
                    guard let sending = NATSSending(rawValue: value) else { return nil }
                    self.sending = sending
                case ("--delivery", _):
                    guard let delivery = DeliveryClass(rawValue: value) else { return nil }
                    self.delivery = delivery
                case ("--history", _): history = value == "none" ? nil : value
                case ("--publish", _): publish = value
                case ("--subscribe", _): subscribe = value
                case ("--kill", let number?) where (2..<1 << 22).contains(number):
                    victim = Int32(number)
                case ("--pair", let number?) where number >= 0: pair = number
                case ("--shared", let number?): isShared = number != 0
                case ("--pool", _): pool = value
                case ("--loans", let number?) where number >= 0: loans = number
                case ("--keep-from", let number?) where number >= 0: keepFrom = number
                case ("--count", let number?) where number > 0: count = number
                case ("--size", let number?) where number >= 8: size = number
                case ("--rate", let number?) where number > 0: rate = number
                case ("--batch", let number?) where number > 0: batch = number
                case ("--batch-latency-ms", let number?) where number > 0: batchLatency = number
                default: return nil
                }
            }
            guard role != .reconnect || victim > 1 else { return nil }
            guard pool != nil || !endpoint.isEmpty || role == .records else { return nil }
        }
    }

    static func run(_ words: [String]) -> Never {
        guard let order = Order(words) else {
            print(usage)
            exit(64)
        }
        do {
            let result =
                switch order.role {
                case .throughput, .latency: try measure(order)
                case .contents: try contents(order)
                case .reconnect: try reconnect(order)
                case .senders: try senders(order)
                case .clouds: try clouds(order)
                case .pool: try pool(order)
                case .poolReader: try readPool(order)
                case .records: try records(order)
                }
            print(result.canonical)
            exit(0)
        } catch {
            print("synmesh-probe: \(error)")
            exit(70)
        }
    }

    static let clock = RunClock(offset: 0)

    static func client(
        _ name: String, _ order: Order, _ options: AgentClient.Options = AgentClient.Options()
    ) throws -> AgentClient {
        let transport: any AgentTransport =
            switch order.transport {
            case .zmq:
                try ZeroMQTransport(
                    configuration(name, order), clock: clock, in: try Context())
            case .nats:
                try NATSTransport(agent: name, url: order.endpoint, sending: order.sending)
            }
        let history = try order.history.map { folder in
            try HistoryWriter(
                path: "\(folder)/\(name).\(getpid()).mcap", process: name, clock: clock)
        }
        var options = options
        options.batching = order.batch.map {
            Batching(messages: $0, bytes: 1 << 20, latency: .milliseconds(order.batchLatency))
        }
        options.delivery = order.delivery
        return try AgentClient(
            name: name, incarnation: 1, clock: clock, transport: transport, recorder: history,
            options: options)
    }

    private static func configuration(
        _ name: String, _ order: Order
    ) -> ZeroMQTransport.Configuration {
        var configuration = ZeroMQTransport.Configuration(
            agent: name, incarnation: 1, branch: order.endpoint)
        configuration.keepFrom = order.keepFrom
        if !order.publish.isEmpty {
            configuration.topicProxies = [
                TopicProxyEndpoints(
                    name: "topics", publish: order.publish, subscribe: order.subscribe,
                    prefixes: ["bench\(order.pair)"])
            ]
        }
        return configuration
    }

    private static func measure(_ order: Order) throws -> Value {
        let listener = Listener(order)
        let thread = try DedicatedThread(named: "listener") { listener.run() }
        try listener.waitUntilAttached()
        let sender = try client("s0", order)
        var content = [UInt8](repeating: UInt8(ascii: "x"), count: order.size)
        let interval = order.rate.map { 1_000_000_000 / UInt64($0) } ?? 500_000
        let processorTime = processorTime
        let began = clock.now
        for number in 1...order.count {
            var due = clock.now
            if order.isLatency {
                // Measured from the time of the schedule: a late message counts as late.
                due = began + UInt64(number) * interval
                try rest(sender, until: due)
            } else if order.rate != nil {
                // Sleeps alone, so that the processor's time is that of the messages.
                let start = began + UInt64(number) * interval
                if start > due { usleep(UInt32((start - due) / 1_000 + 1_000)) }
            }
            withUnsafeBytes(of: due.littleEndian) { content.replaceSubrange(0..<8, with: $0) }
            try sender.send(to: "r0", type: "message", content: content)
        }
        try sender.flush()
        // Nobody tends to what is kept but the client itself, whenever it waits.
        var none: [PollItem] = []
        while sender.counters.unacknowledged > 0, !listener.heard.isOver {
            try sender.linger(.milliseconds(1), also: &none)
        }
        thread.join()
        sender.close()
        let heard = listener.heard
        if let failure = heard.failure { throw MeasuringError(description: failure) }
        var result: [String: Value] = [
            "received": .integer(Int64(heard.received)),
            "lost": .integer(Int64(order.count - heard.received)),
        ]
        if order.isLatency {
            let latencies = heard.latencies
            for (name, percentile) in [
                ("p50_us", 50), ("p90_us", 90), ("p99_us", 99), ("p999_us", 99.9),
            ] {
                result[name] = .double(latencies.microseconds(at: percentile))
            }
            result["max_us"] = .double(latencies.microsecondsMax)
        } else {
            let seconds = Double(heard.ended - began) / 1e9
            result["seconds"] = .double(seconds)
            result["per_second"] = .double(Double(heard.received) / seconds)
            result["processor_seconds"] = .double(Measuring.processorTime - processorTime)
        }
        return .object(result)
    }

    /// Seconds of processors that this process has used.
    private static var processorTime: Double {
        var usage = rusage()
        getrusage(RUSAGE_SELF.rawValue, &usage)
        func seconds(_ time: timeval) -> Double {
            Double(time.tv_sec) + Double(time.tv_usec) / 1e6
        }
        return seconds(usage.ru_utime) + seconds(usage.ru_stime)
    }

    /// Sleeps, and spins through the last of it: the system wakes nobody on the microsecond.
    ///
    /// What waits in a batch leaves at its time meanwhile, as it does in an agent's loop.
    private static func rest(_ sender: AgentClient, until due: UInt64) throws {
        let now = clock.now
        if now + 1_100_000 < due {
            var none: [PollItem] = []
            _ = try sender.wait(
                timeout: .nanoseconds(Int64(due - now - 1_000_000)), also: &none)
        }
        let left = clock.now
        if left + 60_000 < due { usleep(UInt32((due - left - 50_000) / 1_000)) }
        try sender.flushDue()
        while clock.now < due {}
    }

    struct MeasuringError: Error, CustomStringConvertible {
        let description: String
    }

    /// The client that receives, on a thread of its own.
    private final class Listener: Sendable {
        struct Heard {
            var isAttached = false
            var isOver = false
            var received = 0
            var ended: UInt64 = 0
            var latencies = Latencies()
            var failure: String?
        }

        private let order: Order
        private let state = Mutex(Heard())

        init(_ order: Order) { self.order = order }

        var heard: Heard { state.withLock { $0 } }

        func waitUntilAttached() throws {
            for _ in 0..<10_000 {
                let heard = heard
                if let failure = heard.failure { throw MeasuringError(description: failure) }
                if heard.isAttached { return }
                usleep(1_000)
            }
            throw MeasuringError(description: "the receiving client did not attach")
        }

        func run() {
            do {
                try receive()
            } catch {
                state.withLock {
                    $0.failure = "\(error)"
                    $0.isOver = true
                }
            }
        }

        private func receive() throws {
            let client = try Measuring.client("r0", order)
            state.withLock { $0.isAttached = true }
            // Kept apart from what the other thread looks at: nothing is locked for a message.
            var heard = Heard(isAttached: true)
            while heard.received < order.count,
                let envelope = try client.receive(timeout: .seconds(5))
            {
                heard.received += 1
                heard.ended = Measuring.clock.now
                guard order.isLatency else { continue }
                let due = envelope.withContent {
                    UInt64(littleEndian: $0.loadUnaligned(as: UInt64.self))
                }
                heard.latencies.record(heard.ended &- due)
            }
            client.close()
            heard.isOver = true
            let done = heard
            state.withLock { $0 = done }
        }
    }
}
