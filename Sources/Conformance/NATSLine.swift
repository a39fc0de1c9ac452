internal import NATS
internal import Synchronization
internal import Threads
internal import Wire

/// The checker on NATS: hears everything that the server carries.
final class NATSLine: Line {
    private let program: String
    private let checker: String
    private let clock: RunClock
    private let connection: Connection
    private let subscription: Subscription
    private let log = Mutex<[Seen]>([])
    private let thread: DedicatedThread
    private let handler = Handler()

    init(url: String, program: String, checker: String, clock: RunClock) throws {
        self.program = program
        self.checker = checker
        self.clock = clock
        connection = try Connection(to: url, options: ConnectionOptions(name: "conformance"))
        subscription = try connection.subscribe(to: ">")
        try connection.flush(timeout: .seconds(2))
        let (subscription, handler) = (subscription, handler)
        thread = try DedicatedThread(named: "conformance") {
            while !subscription.isClosed {
                let message: Message?
                do throws(NATSError) {
                    message = try subscription.next(timeout: .milliseconds(100))
                } catch {
                    return
                }
                if let message { handler.take(message) }
            }
        }
        handler.line.withLock { $0 = self }
    }

    /// Breaks the circle between the line and its thread.
    private final class Handler: Sendable {
        let line = Mutex<NATSLine?>(nil)

        func take(_ message: Message) { line.withLock { $0 }?.take(message) }
    }

    var seen: [Seen] { log.withLock { $0 } }

    private func take(_ message: Message) {
        // What the checker says is not what it hears, and bridges only repeat.
        let source = message.header("ce-source")
        guard source != checker, !message.subject.hasPrefix("agent.\(program).") else { return }
        let isTopic = !message.subject.hasPrefix("agent.")
        let envelope: Result<Envelope, WireError>
        do throws(WireError) {
            envelope = .success(try Envelope(headers: message.header, content: message.content))
        } catch {
            envelope = .failure(error)
        }
        if case .success(let envelope) = envelope, envelope.kind != .content,
            envelope.kind != .acknowledgement
        {
            return
        }
        log.withLock { log in
            log.append(
                Seen(
                    place: isTopic ? .onTopic : .fromProgram, at: clock.now,
                    frames: [Array(message.subject.utf8), message.content], envelope: envelope))
        }
    }

    func send(_ envelope: Envelope) throws {
        try publish(envelope)
    }

    func publish(_ envelope: Envelope) throws {
        try connection.publish(
            Subject.of(envelope), headers: envelope.headers, content: envelope.content)
    }

    func inject(header: [UInt8], content: [UInt8]) throws {
        // The header's bytes, as text, in place of each number that is expected.
        let text = String(header.prefix(20).map { Character(UnicodeScalar(0x21 + $0 % 0x5D)) })
        let names = [
            "ce-source", "ce-destination", "ce-incarnation", "ce-sequence", "ce-kind", "ce-type",
            "ce-sent", "ce-hops",
        ]
        let given = names.filter { _ in header.count % 3 != 0 }.map { (name: $0, value: text) }
        try connection.publish(
            "agent.\(program).nonsense",
            headers: [("ce-specversion", "1.0")] + given, content: content)
    }

    func hand(_ envelope: Envelope) throws { try publish(envelope) }

    func injectUnknownKind(_ envelope: Envelope) throws {
        let headers = envelope.headers.map { header in
            header.name == "ce-kind" ? (name: header.name, value: "9") : header
        }
        try connection.publish(
            "agent.\(program).\(envelope.type)", headers: headers, content: envelope.content)
    }

    func close() {
        try? subscription.unsubscribe()
        thread.join()
        handler.line.withLock { $0 = nil }
        connection.close()
    }
}
