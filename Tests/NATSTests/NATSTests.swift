import Glibc
import NATS
import TestSupport
import Testing

private let shortly = Duration.seconds(5)

private func connect(_ name: String = "test", noEcho: Bool = false) throws -> Connection {
    try Connection(
        to: NATSServer.shared.get().url, options: ConnectionOptions(name: name, noEcho: noEcho))
}

/// A subject that no other test uses.
private func subject(_ word: String) -> String { "\(word).\(UInt32.random(in: 0...UInt32.max))" }

@Suite("NATS") struct NATSTests {
    @Test("The server that answers is the one that was started")
    func serverName() throws {
        let server = try NATSServer.shared.get()
        let connection = try connect()
        #expect(connection.serverName == server.name)
        #expect(ServerIdentity(greetingFrom: server.url)?.identifier == connection.serverID)
        #expect(connection.isConnected)
        #expect(connection.maxPayload == 1_048_576)
    }

    @Test("Content and headers arrive unchanged", arguments: [0, 1, 4_096, 1_000_000])
    func arriveUnchanged(size: Int) throws {
        let connection = try connect()
        let subject = subject("unchanged")
        let subscription = try connection.subscribe(to: subject)
        try connection.flush(timeout: shortly)
        let content = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        try connection.publish(
            subject, headers: [("ce-id", "1/b/7"), ("ce-type", "tâche")], content: content)
        try connection.publish(subject, content: content)
        let first = try #require(try subscription.next(timeout: shortly))
        #expect(first.subject == subject)
        #expect(first.content == content)
        #expect(first.header("ce-id") == "1/b/7")
        #expect(first.header("ce-type") == "tâche")
        #expect(first.header("ce-source") == nil)
        let second = try #require(try subscription.next(timeout: shortly))
        #expect(second.content == content)
        #expect(second.headers.isEmpty)
    }

    @Test("Nothing in time is nil")
    func silenceIsNil() throws {
        let connection = try connect()
        let subscription = try connection.subscribe(to: subject("silence"))
        #expect(try subscription.next(timeout: .milliseconds(1)) == nil)
    }

    @Test("What exceeds max_payload is refused before it is sent, with the remedy")
    func oversizeIsRefused() throws {
        let connection = try connect()
        let content = [UInt8](repeating: 0, count: connection.maxPayload)
        let subject = subject("oversize")
        let error = #expect(throws: NATSError.self) {
            try connection.publish(subject, headers: [("a", "b")], content: content)
        }
        #expect(error?.code == .oversize)
        #expect(error?.limit == connection.maxPayload)
        #expect(error?.description.contains("max_payload") == true)
        #expect(error?.description.contains("shared memory") == true)
        #expect(error?.description.contains("chunks") == true)
        try connection.publish(subject, content: content)
        try connection.flush(timeout: shortly)
        #expect(connection.reconnects == 0)
    }

    @Test("Content of the largest size with headers just fits")
    func largestWithHeadersFits() throws {
        let connection = try connect()
        let subject = subject("largest")
        let subscription = try connection.subscribe(to: subject)
        // "NATS/1.0\\r\\n" + "a: b\\r\\n" + "\\r\\n", counted generously by four bytes.
        let content = [UInt8](repeating: 7, count: connection.maxPayload - 12 - 6)
        try connection.publish(subject, headers: [("a", "b")], content: content)
        #expect(try subscription.next(timeout: shortly)?.content == content)
        #expect(connection.reconnects == 0)
    }

    @Test("A connection without echo does not hear itself, others do")
    func noEcho() throws {
        let quiet = try connect("quiet", noEcho: true)
        let other = try connect("other")
        let subject = subject("echo")
        let own = try quiet.subscribe(to: subject)
        let theirs = try other.subscribe(to: subject)
        try quiet.flush(timeout: shortly)
        try other.flush(timeout: shortly)
        try quiet.publish(subject, content: [1])
        #expect(try theirs.next(timeout: shortly)?.content == [1])
        // The server handles a connection's commands in order: had there been an echo, the answer
        // to this flush would have come behind it.
        try quiet.flush(timeout: shortly)
        #expect(own.pending == 0)
    }

    @Test("A drained subscription hands out all that had come, then ends")
    func drainLosesNothing() throws {
        let connection = try connect()
        let subject = subject("drain")
        let subscription = try connection.subscribe(to: subject)
        for index in 0..<1_000 {
            try connection.publish(subject, content: [UInt8(truncatingIfNeeded: index)])
        }
        try subscription.drain(timeout: shortly)
        var received = 0
        let error = #expect(throws: NATSError.self) {
            while let message = try subscription.next(timeout: shortly) {
                #expect(message.content == [UInt8(truncatingIfNeeded: received)])
                received += 1
            }
        }
        #expect(received == 1_000)
        #expect(error?.code == .subscriptionEnded)
        #expect(subscription.isClosed)
    }

    @Test("More than the pending limit is dropped and counted")
    func pendingLimitIsCounted() throws {
        let connection = try connect()
        let subject = subject("pending")
        let subscription = try connection.subscribe(to: subject, pendingMessagesMax: 10)
        for index in 0..<100 { try connection.publish(subject, content: [UInt8(index)]) }
        try connection.flush(timeout: shortly)
        var received = 0
        while try subscription.next(timeout: .milliseconds(1)) != nil { received += 1 }
        #expect(received == 10)
        #expect(subscription.dropped == 90)
    }

    @Test("Nobody there is an error that says so")
    func noServer() throws {
        let error = #expect(throws: NATSError.self) {
            try Connection(to: "nats://127.0.0.1:1", options: ConnectionOptions(name: "lonely"))
        }
        #expect(error?.code == .noServer)
        #expect(error?.description.contains("nats-server") == true)
        #expect(ServerIdentity(greetingFrom: "nats://127.0.0.1:1") == nil)
    }

    @Test("While the server is away, publishing fails instead of going into a buffer")
    func awayIsAnError() throws {
        let server = try NATSServer()
        let connection = try Connection(
            to: server.url, options: ConnectionOptions(name: "left alone"))
        #expect(connection.serverName == server.name)
        server.stop()
        // Bounded by the flush: it returns when the connection is seen to be lost.
        #expect(throws: NATSError.self) { try connection.flush(timeout: shortly) }
        let error = #expect(throws: NATSError.self) {
            try connection.publish("anything", content: [1])
        }
        #expect(error?.code == .disconnected)
        connection.close()
        #expect(connection.isClosed)
        let closed = #expect(throws: NATSError.self) {
            try connection.publish("anything", content: [1])
        }
        #expect(closed?.code == .closed)
    }

    @Test(
        "A greeting is read, anything else is not",
        arguments: [
            ("INFO {\"server_id\":\"NA\",\"server_name\":\"one\",\"max_payload\":1}", "one"),
            ("INFO {\"server_id\":\"NA\"}", nil), ("HTTP/1.1 200 OK", nil), ("", nil),
        ] as [(String, String?)])
    func greetings(text: String, name: String?) {
        #expect(ServerIdentity(greeting: text)?.name == name)
    }
}
