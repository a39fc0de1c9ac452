import CLinux
import Glibc
import JSON
import NATS
import Synchronization
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

/// SplitMix64: the same cases every time.
struct Seeded: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
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

/// An agent's DEALER, by hand.
final class Dealer {
    let name: String
    var socket: Socket

    init(_ name: String, at endpoint: String?, in context: Context) throws {
        self.name = name
        socket = try Socket(
            .dealer, in: context,
            options: SocketOptions(routingID: name, linger: .seconds(5)))
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
    func attach(window: Int? = nil, incarnation: Int = 1) throws {
        let window = window.map { #","window":\#($0)"# } ?? ""
        try sendToProxy(.hello, #"{"incarnation":\#(incarnation)\#(window)}"#)
        let answer = try receive()
        #expect(answer.kind == .hello)
    }

    func frames(within timeout: Duration = patience) throws -> [[UInt8]]? {
        let end = ContinuousClock.now + timeout
        while true {
            if let frames = try socket.receive() { return frames }
            let left = end - .now
            guard left > .zero else { return nil }
            var items = [socket.pollItem()]
            _ = try poll(&items, timeout: left)
        }
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
        var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
        var entries: [UnsafeMutablePointer<CChar>?] = variables.map { strdup($0) } + [nil]
        defer { for word in words + entries { free(word) } }
        var process: pid_t = 0
        let code = words.withUnsafeMutableBufferPointer { words in
            entries.withUnsafeMutableBufferPointer { entries in
                var request = synmesh_spawn_request()
                request.executable = UnsafePointer(words[0])
                request.arguments = UnsafePointer(words.baseAddress)
                request.environment = UnsafePointer(entries.baseAddress)
                request.output = ends[1]
                request.kept = -1
                request.own_group = true
                return synmesh_spawn(&request, &process)
            }
        }
        close(ends[1])
        output = ends[0]
        self.process = process
        _ = fcntl(output, F_SETFL, O_NONBLOCK)
        try #require(code == 0, "\(arguments[0]) could not be started")
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

/// A directory of the test's own, removed with this.
final class Directory {
    let path: String

    init() throws {
        var template = Array("/tmp/synmesh-routing-XXXXXX".utf8CString)
        try #require(mkdtemp(&template) != nil)
        path = String(decoding: template.dropLast().map { UInt8($0) }, as: UTF8.self)
    }

    deinit { synmesh_remove_tree(path) }

    /// Writes a file and returns its path.
    func file(_ name: String, _ text: String) throws -> String {
        let path = "\(path)/\(name)"
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o600)
        try #require(descriptor >= 0)
        defer { close(descriptor) }
        try #require(write(descriptor, text, text.utf8.count) == text.utf8.count)
        return path
    }
}

/// A nats-server of the test's own, on a port that the system chose.
final class Server {
    let url: String
    private let program: Program
    private let directory: Directory

    init(arguments: [String] = []) throws {
        let directory = try Directory()
        let name = "routing-\(UInt64.random(in: 0 ... .max))"
        let program = try Program(
            [
                access("/usr/sbin/nats-server", X_OK) == 0
                    ? "/usr/sbin/nats-server" : "nats-server", "-a", "127.0.0.1", "-p", "-1",
                "--ports_file_dir", directory.path, "-n",
                name,
            ]
                + arguments)
        self.program = program
        self.directory = directory
        let process = program.process
        url = try eventually("the ports of nats-server") {
            guard
                let text = Self.text(of: "\(directory.path)/nats-server_\(process).ports"),
                let ports = try? Value(parsing: text)
            else { return nil }
            return ports["nats"]?.array?.first?.string
        }
        let url = url
        let connection: Connection = try eventually("nats-server") {
            try? Connection(to: url, options: ConnectionOptions(name: "check"))
        }
        try #require(connection.serverName == name, "another server answered")
    }

    private static func text(of path: String) -> String? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 65_536)
        let count = read(descriptor, &buffer, buffer.count)
        return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
    }

    func freeze() { program.signal(SIGSTOP) }
    func thaw() { program.signal(SIGCONT) }
    func end() { program.end() }
}

extension Connection {
    convenience init(_ server: Server, name: String) throws {
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
