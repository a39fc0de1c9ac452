import Glibc
import JSON
import Messaging
import Recording
import SharedMemory
import Wire

/// `synmesh-probe pool`: what handing a content to another process through a pool costs.
///
/// The reader is another process of this program, told of each content over a socket as the C
/// reference `memory` tells its own; the names that are printed are that program's, too.
extension Measuring {
    static func pool(_ order: Order) throws -> Value {
        guard let path = order.pool else { throw MeasuringError(description: "--pool is missing") }
        let pool = try Pool(opening: path, name: "bench")
        let reader = try PoolReader(of: path, bytes: order.size)
        let source = WarmMemory(order.size)
        let target = WarmMemory(order.size)
        var series: [String: [Double]] = [:]
        func note(_ name: String, _ nanoseconds: UInt64) {
            series[name, default: []].append(Double(nanoseconds) / 1_000)
        }
        let small = min(order.size, 1_000_000)
        for run in 0...order.count {
            var began = clock.now
            target.bytes.copyMemory(from: UnsafeRawBufferPointer(source.bytes))
            let copy = clock.now - began
            // A hand-off takes microseconds, and now and then the time that it takes to wake
            // another processor: many, and the one in the middle.
            var loans: [UInt64] = []
            var smallLoans: [UInt64] = []
            for _ in 0..<order.loans {
                loans.append(try reader.handOver(order.size, of: pool))
                smallLoans.append(try reader.handOver(small, of: pool))
            }
            began = clock.now
            _ = try reader.handOver(order.size, of: pool, from: source)
            let copyIn = clock.now - began
            began = clock.now
            _ = try reader.handOver(order.size, of: pool, from: source, copiesOut: true)
            let both = clock.now - began
            // The first one warms up.
            guard run > 0 else { continue }
            note("copy_us", copy)
            if order.loans > 0 {
                note("loan_us", loans.sorted()[loans.count / 2])
                note("small_loan_us", smallLoans.sorted()[loans.count / 2])
            }
            note("copy_in_us", copyIn)
            note("copy_in_and_out_us", both)
        }
        return .object(series.mapValues { .array($0.map(Value.double)) })
    }

    /// `synmesh-probe pool-reader`: reads what standard input, a socket, names, and answers.
    static func readPool(_ order: Order) throws -> Value {
        guard let path = order.pool else { throw MeasuringError(description: "--pool is missing") }
        let pool = try Pool(opening: path, name: "bench")
        let own = WarmMemory(order.size)
        var seen: UInt8 = 0
        while let message = PoolMessage.receive(from: STDIN_FILENO) {
            let reading = try pool.read(message.reference)
            reading.withBytes { bytes in
                if message.copiesOut != 0 { own.bytes.copyMemory(from: bytes) }
                seen &+= bytes.last ?? 0
            }
            _ = consume reading
            guard message.send(to: STDIN_FILENO) else { break }
        }
        return ["seen": Value(Int(seen))]
    }

    /// `synmesh-probe clouds`: how long a point cloud is on its way from one client to another.
    ///
    /// Both belong to one thread, as the C reference `frames` has one: it sends to itself.
    static func clouds(_ order: Order) throws -> Value {
        let options = order.pool.map { path in
            var options = AgentClient.Options()
            options.pool = "bench"
            options.pools = [
                PoolAccess(name: "bench", path: path, wait: .seconds(1), overflow: .fail)
            ]
            options.threshold = 0
            return options
        }
        let receiver = try client("r0", order, options ?? AgentClient.Options())
        let sender = try client("s0", order, options ?? AgentClient.Options())
        let source = WarmMemory(order.size)
        var times: [Value] = []
        var seen: UInt8 = 0
        // The first one warms up.
        for run in 0...order.count {
            let began = clock.now
            let sending = try sender.sendPointCloud(
                to: [.agent("r0")], byteCount: order.size, points: order.size / 12
            ) { bytes in
                bytes.copyMemory(from: UnsafeRawBufferPointer(source.bytes))
            }
            if let failure = sending.failures.first { throw failure }
            guard let envelope = try receiver.receive(timeout: .seconds(20)) else {
                throw MeasuringError(description: "cloud \(run) did not arrive")
            }
            let (size, last) = try receiver.receivePointCloud(envelope) { bytes in
                (bytes.count, bytes.last ?? 0)
            }
            let time = clock.now - began
            guard size == order.size else {
                throw MeasuringError(description: "\(size) of \(order.size) bytes arrived")
            }
            seen &+= last
            if run > 0 { times.append(.double(Double(time) / 1_000)) }
            // Takes in what the proxy says to a sender.
            _ = try sender.receive(timeout: .zero)
        }
        sender.close()
        receiver.close()
        return ["cloud_us": .array(times), "seen": Value(Int(seen))]
    }
}

extension Measuring {
    /// `synmesh-probe records`: how many envelopes one history takes in a second.
    static func records(_ order: Order) throws -> Value {
        guard let folder = order.history else {
            throw MeasuringError(description: "--history is missing")
        }
        let writer = try HistoryWriter(
            path: "\(folder)/records.\(getpid()).mcap", process: "s0", clock: clock)
        let flow = Flow(source: "s0", destination: .agent("r0"))
        // Made once, as the reference's record is: what is measured is recording.
        var envelope = Envelope(
            identity: Identity(flow: flow, incarnation: 1, sequence: 0), type: "message",
            sent: clock.now, content: [UInt8](repeating: UInt8(ascii: "x"), count: order.size))
        let began = clock.now
        for number in 1...order.count {
            envelope.identity = Identity(
                flow: flow, incarnation: 1, sequence: UInt64(number))
            try writer.record(envelope, .sent, transport: "zmq")
        }
        try writer.seal()
        let seconds = Double(clock.now - began) / 1e9
        return ["seconds": .double(seconds), "per_second": .double(Double(order.count) / seconds)]
    }
}

/// Memory whose pages are there.
private final class WarmMemory {
    let bytes: UnsafeMutableRawBufferPointer

    init(_ count: Int) {
        bytes = .allocate(byteCount: count, alignment: 4_096)
        bytes.initializeMemory(as: UInt8.self, repeating: 7)
    }

    deinit { bytes.deallocate() }
}

/// What writer and reader of a pool tell each other.
private struct PoolMessage: BitwiseCopyable {
    var slot: UInt64
    var generation: UInt64
    var size: UInt64
    var copiesOut: UInt64

    var reference: SlotReference {
        SlotReference(slot: Int(slot), generation: generation, size: size, digest: nil)
    }

    func send(to socket: CInt) -> Bool {
        withUnsafeBytes(of: self) { write(socket, $0.baseAddress, $0.count) == $0.count }
    }

    static func receive(from socket: CInt) -> PoolMessage? {
        var message = PoolMessage(slot: 0, generation: 0, size: 0, copiesOut: 0)
        let isWhole = withUnsafeMutableBytes(of: &message) { bytes in
            var done = 0
            while done < bytes.count {
                let got = read(
                    socket, bytes.baseAddress?.advanced(by: done), bytes.count - done)
                if got <= 0 { return false }
                done += got
            }
            return true
        }
        return isWhole ? message : nil
    }
}

/// The other process, which ends when this one lets go of the socket.
private final class PoolReader {
    private let socket: CInt
    private let process: pid_t

    init(of path: String, bytes: Int) throws {
        var ends: [CInt] = [0, 0]
        guard socketpair(AF_UNIX, CInt(SOCK_STREAM.rawValue) | O_CLOEXEC, 0, &ends) == 0 else {
            throw Measuring.MeasuringError(description: "no sockets: errno \(errno)")
        }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        posix_spawn_file_actions_adddup2(&actions, ends[1], STDIN_FILENO)
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0)
        defer { posix_spawn_file_actions_destroy(&actions) }
        let words = ["synmesh-probe", "pool-reader", "--pool", path, "--size", "\(bytes)"]
        var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
        arguments.append(nil)
        defer { for argument in arguments { free(argument) } }
        var process = pid_t()
        let code = posix_spawn(&process, "/proc/self/exe", &actions, nil, arguments, environ)
        close(ends[1])
        socket = ends[0]
        self.process = process
        guard code == 0 else {
            throw Measuring.MeasuringError(description: "no reader: errno \(code)")
        }
    }

    deinit {
        close(socket)
        waitpid(process, nil, 0)
    }

    /// Lends a slot, copies in where there is something, publishes, and waits until it was read.
    ///
    /// - Returns: How many nanoseconds that took.
    func handOver(
        _ size: Int, of pool: Pool, from source: WarmMemory? = nil, copiesOut: Bool = false
    ) throws -> UInt64 {
        let began = Measuring.clock.now
        guard let loan = try pool.loan(byteCount: size) else {
            throw Measuring.MeasuringError(description: "no slot is free")
        }
        if let source {
            loan.withBytes { $0.copyMemory(from: UnsafeRawBufferPointer(source.bytes)) }
        }
        let reference = try loan.publish(size: size, readers: 1)
        let message = PoolMessage(
            slot: UInt64(reference.slot), generation: reference.generation, size: reference.size,
            copiesOut: copiesOut ? 1 : 0)
        guard message.send(to: socket), PoolMessage.receive(from: socket) != nil else {
            throw Measuring.MeasuringError(description: "the reader has ended")
        }
        return Measuring.clock.now - began
    }
}
