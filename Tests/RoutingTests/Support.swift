import CLinux
import Glibc
import JSON
import NATS
import Synchronization
import TestSupport
import Testing
import Wire
import ZeroMQ

@testable import Routing

/// The longest that any test waits for anything.
let patience = Duration.seconds(20)

/// What a test waited for did not come.
struct NotInTime: Error {
    let what: String
}

/// Asks again and again, a millisecond apart, until the answer is there.
func eventually<Result>(
    _ what: String, _ body: () throws -> Result?
) throws -> Result {
    let end = ContinuousClock.now + patience
    while ContinuousClock.now < end {
        if let result = try body() { return result }
        usleep(1_000)
    }
    throw NotInTime(what: what)
}

/// Lines of a proxy's log.
final class Log: Sendable {
    private let kept = Mutex<[String]>([])

    var lines: [String] { kept.withLock { $0 } }

    @Sendable func append(_ line: String) { kept.withLock { $0.append(line) } }
}

func agentEnvelope(
    _ source: String, _ destination: String, _ sequence: UInt64, incarnation: UInt32 = 1,
    type: String = "test", hops: UInt8 = 0, content: [UInt8]? = nil
) -> Envelope {
    Envelope(
        identity: Identity(
            flow: Flow(source: source, destination: .agent(destination)),
            incarnation: incarnation, sequence: sequence), type: type, sent: 1, hops: hops,
        content: content ?? Array("\(sequence)".utf8))
}

func topicEnvelope(_ source: String, _ topic: String, _ sequence: UInt64) -> Envelope {
    Envelope(
        identity: Identity(
            flow: Flow(source: source, destination: .topic(topic)), incarnation: 1,
            sequence: sequence), type: "test", sent: 1, content: Array("\(sequence)".utf8))
}

extension Socket {
    /// The next message's frames; nil when none comes in time.
    mutating func frames(within timeout: Duration) throws -> [[UInt8]]? {
        let end = ContinuousClock.now + timeout
        while true {
            if let frames = try receive() { return frames }
            let left = end - .now
            guard left > .zero else { return nil }
            var items = [pollItem()]
            _ = try poll(&items, timeout: left)
        }
    }
}

/// An agent's DEALER, by hand.
final class Dealer {
    let name: String
    var socket: Socket
    /// What came before the answer to the hello.
    private var early: [[[UInt8]]] = []

    init(
        _ name: String, at endpoint: String?, in context: Context, highWaterMark: Int = 1_000
    ) throws {
        self.name = name
        socket = try Socket(
            .dealer, in: context,
            options: SocketOptions(
                routingID: name, linger: .seconds(5), receiveHighWaterMark: highWaterMark))
        try socket.connect(to: try #require(endpoint))
    }

    func send(_ frames: [[UInt8]]) throws {
        try eventually("room for \(name)") {
            try socket.send(frames) == .sent ? () : nil
        }
    }

    func send(_ envelope: Envelope) throws {
        try send([Array(envelope.destination.name.utf8), envelope.header, envelope.content])
    }

    func sendToProxy(_ kind: Envelope.Kind, _ content: String) throws {
        var envelope = agentEnvelope(name, "", 0, type: "control", content: Array(content.utf8))
        envelope.kind = kind
        try send([[], envelope.header, envelope.content])
    }

    /// Says hello and waits for the answer.
    func attach(window: Int? = nil, incarnation: Int = 1, batches: Bool = false) throws {
        let window =
            (window.map { #","window":\#($0)"# } ?? "") + (batches ? #","batches":true"# : "")
        try sendToProxy(.hello, #"{"incarnation":\#(incarnation)\#(window)}"#)
        // What waited for the name may come first, as soon as the connection is there.
        while true {
            guard let frames = try socket.frames(within: patience) else {
                throw NotInTime(what: "an answer to the hello of \(name)")
            }
            if frames.count == 2, try Envelope(header: frames[0], content: []).kind == .hello {
                return
            }
            early.append(frames)
        }
    }

    func frames(within timeout: Duration = patience) throws -> [[UInt8]]? {
        early.isEmpty ? try socket.frames(within: timeout) : early.removeFirst()
    }

    func receive() throws -> Envelope {
        guard let frames = try frames() else { throw NotInTime(what: "an envelope for \(name)") }
        try #require(frames.count == 2)
        return try Envelope(header: frames[0], content: frames[1])
    }

    func receive(_ count: Int) throws -> [Envelope] {
        try (0..<count).map { _ in try receive() }
    }

    /// The seed's JSON object, as one frame.
    func receiveSeed() throws -> SeedMessage {
        guard let frames = try frames() else { throw NotInTime(what: "a message for \(name)") }
        try #require(frames.count == 1)
        return try SeedMessage(parsing: frames[0])
    }

    func sendSeed(to receiver: String, type: String = "note", _ content: Value) throws {
        try send([SeedMessage(from: name, to: receiver, type: type, content: content).bytes])
    }

    /// Whether all that was sent until now has passed the proxy.
    func passMarker() throws {
        try sendToProxy(.marker, "7")
        let answer = try receive()
        #expect(answer.kind == .marker)
        #expect(answer.content == Array("7".utf8))
    }
}

/// A child process of the test's own; ended at the latest with this.
final class Program {
    let process: pid_t
    private let output: Int32
    private var status: Int32?

    /// Starts it with this environment beside PATH.
    init(_ arguments: [String], environment: [String: String] = [:]) throws {
        var ends: [CInt] = [-1, -1]
        try #require(synmesh_pipe(&ends) == 0)
        let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/bin"
        let variables = environment.map { "\($0)=\($1)" } + ["PATH=\(path)"]
        defer { close(ends[1]) }
        do {
            process = try spawn(arguments, environment: variables, output: ends[1])
        } catch {
            close(ends[0])
            throw error
        }
        output = ends[0]
        _ = fcntl(output, F_SETFL, O_NONBLOCK)
    }

    deinit {
        end()
        close(output)
    }

    func signal(_ number: Int32) { if status == nil { kill(process, number) } }

    /// Its exit code, or 128 and the signal that ended it; nil while it runs.
    var exit: Int32? {
        if let status { return status }
        var ended = synmesh_exit()
        guard synmesh_reap(process, &ended) == process else { return nil }
        status = ended.signalled ? 128 + ended.status : ended.status
        return status
    }

    func end() {
        signal(SIGKILL)
        _ = try? eventually("the end of a killed process") { exit }
    }

    /// What it has written and was not read yet.
    func written() -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = read(output, &buffer, buffer.count)
            guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
            bytes.append(contentsOf: buffer[..<count])
        }
    }
}

extension Connection {
    convenience init(_ server: NATSServer, name: String) throws {
        try self.init(to: server.url, options: ConnectionOptions(name: name))
    }

    func publish(_ envelope: Envelope) throws {
        try publish(
            Subject.of(envelope), headers: envelope.headers, content: envelope.content)
    }

    /// Subscribes, and returns when the server knows.
    func listen(to subject: String) throws -> Subscription {
        let subscription = try subscribe(to: subject)
        try flush(timeout: patience)
        return subscription
    }
}

extension Subscription {
    func envelope() throws -> Envelope {
        guard let message = try next(timeout: patience) else {
            throw NotInTime(what: "a message on \(subject)")
        }
        return try Envelope(headers: message.header, content: message.content)
    }
}

extension ProxyThread {
    func status(_ path: String...) throws -> Value {
        try path.reduce(command("status")) { $0[$1] ?? nil }
    }

    /// The dead letters of one reason.
    func deadLetters(_ reason: DeadLetterReason) throws -> Int64 {
        try status("dead_letters", reason.rawValue).integer ?? 0
    }
}
