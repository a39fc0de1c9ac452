import Glibc
import JSON
import TestSupport
import Testing
import Wire

@testable import Recording

/// A message as the Python library read it.
private struct Message: Hashable {
    var topic: String
    var encoding: String
    var metadata: [String: String]
    var sequence: Int64
    var logged: Int64
    var published: Int64
    var data: String
}

/// What the Python library read from a file.
private struct Reading {
    var messages: [Message]
    var metadata: [String: String]
    var chunks: Int64?
    var count: Int64?

    init(path: String) throws {
        let script = #filePath.replacingLastComponent(with: "read_mcap.py")
        let value = try Value(parsing: try output(of: ["python3", script, path]))
        messages = try #require(value["messages"]?.array).map { message in
            Message(
                topic: message["topic"]?.string ?? "", encoding: message["encoding"]?.string ?? "",
                metadata: (message["metadata"]?.object ?? [:]).mapValues { $0.string ?? "" },
                sequence: message["sequence"]?.integer ?? -1,
                logged: message["log_time"]?.integer ?? -1,
                published: message["publish_time"]?.integer ?? -1,
                data: message["data"]?.string ?? "")
        }
        metadata =
            value["metadata"]?.array?.first?.object?.mapValues { $0.string ?? "" } ?? [:]
        chunks = value["chunks"]?.integer
        count = value["count"]?.integer
    }
}

extension String {
    fileprivate func replacingLastComponent(with name: String) -> String {
        split(separator: "/", omittingEmptySubsequences: false).dropLast().joined(separator: "/")
            + "/" + name
    }
}

/// What every file of this suite says.
private func writeSample(to path: String) throws -> HistoryWriter {
    let writer = try HistoryWriter(
        path: path, process: "alpha", clock: clock, contentLimit: 10_000)
    for sequence in 1...UInt64(400) {
        let cause = sequence % 3 == 0 ? envelope(sequence, from: "beta").identity : nil
        let content =
            sequence % 100 == 0
            ? [UInt8](repeating: 9, count: 10_001)
            : Array(#"{"n":\#(sequence),"pad":"\#(String(repeating: "x", count: 4_000))"}"#.utf8)
        let destination: Address = sequence % 2 == 0 ? .agent("beta") : .topic("tot.branch_A")
        let envelope = envelope(sequence, to: destination, content: content, cause: cause)
        try writer.record(envelope, .sent, transport: "zmq")
    }
    try writer.record(envelope(1 << 40 | 5), .delivered, transport: "nats", lane: .shadow)
    for annotation in everyAnnotation { try writer.annotate(annotation) }
    return writer
}

@Suite("The Python mcap library")
struct LibraryTests {
    let scratch: TemporaryDirectory

    init() throws { scratch = try TemporaryDirectory() }

    /// The file of a writer that was killed.
    private func killed() async throws -> String {
        let path = scratch.file("killed.mcap")
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = path as String] in
            let writer = try writeSample(to: path)
            withExtendedLifetime(writer) { _ = kill(getpid(), SIGKILL) }
        }
        return path
    }

    private func compare(_ reading: Reading, with history: History) throws {
        #expect(history.notes == [])
        #expect(reading.metadata["process"] == "alpha")
        let envelopes = reading.messages.filter { $0.topic != "annotations" }
        let annotations = reading.messages.filter { $0.topic == "annotations" }
        #expect(annotations.count == history.annotations.count)
        #expect(annotations.allSatisfy { $0.encoding == "json" })
        try #require(envelopes.count == history.records.count)
        for (message, record) in zip(envelopes, history.records) {
            let identity = record.identity
            #expect(
                message.topic
                    == "\(record.identity.flow.source)/\(identity.flow.destination)/\(record.type)")
            #expect(message.sequence == Int64(identity.sequence & 0xFFFF_FFFF))
            #expect(message.logged == Int64(record.observed))
            #expect(message.published == Int64(record.sent))
            var metadata = [
                "agent": "alpha", "source": identity.flow.source,
                "destination": identity.flow.destination.description,
                "incarnation": String(identity.incarnation), "type": record.type,
                "transport": record.transport, "direction": record.direction.rawValue,
                "lane": record.lane.rawValue, "hops": "0", "content_encoding": "json",
            ]
            if identity.sequence >> 32 > 0 {
                metadata["sequence_high"] = String(identity.sequence >> 32)
            }
            #expect(message.metadata == metadata)
            switch record.content {
            case .bytes(let bytes):
                #expect(message.encoding == "json")
                #expect(message.data == Base64.encode(bytes))
            case .digest(let digest, let length):
                #expect(message.encoding == "application/x-synmesh-digest+json")
                let json = #"{"digest":"\#(ContentDigest.text(digest))","length":\#(length)}"#
                #expect(message.data == Base64.encode(Array(json.utf8)))
            }
        }
    }

    @Test("reads a file whose writer was killed, the sealed one, and a closed one: all the same")
    func allStates() async throws {
        let path = try await killed()
        let live = try Reading(path: path)
        try compare(live, with: HistoryReader.read(path: path))
        #expect(live.messages.count == 401 + 133 + everyAnnotation.count)
        #expect(live.chunks == nil)

        try HistorySealer.seal(path: path)
        let sealed = try Reading(path: path)
        try compare(sealed, with: HistoryReader.read(path: path))
        #expect(sealed.messages == live.messages)
        #expect(sealed.count == Int64(live.messages.count))
        #expect((sealed.chunks ?? 0) > 1)

        let closedPath = scratch.file("closed.mcap")
        try writeSample(to: closedPath).seal()
        let closed = try Reading(path: closedPath)
        try compare(closed, with: HistoryReader.read(path: closedPath))
        #expect(closed.messages.count == live.messages.count)
        for (one, other) in zip(closed.messages, live.messages) where one.topic != "annotations" {
            var moved = one
            moved.logged = other.logged
            #expect(moved == other)
        }
    }

    @Test("reads a history without a message, in every state")
    func empty() throws {
        let path = scratch.file("empty.mcap")
        let writer = try HistoryWriter(path: path, process: "alpha", clock: clock)
        #expect(try Reading(path: path).messages.isEmpty)
        try writer.seal()
        #expect(try Reading(path: path).messages.isEmpty)
        try HistorySealer.seal(path: path)
        let sealed = try Reading(path: path)
        #expect(sealed.messages.isEmpty)
        #expect(sealed.metadata["process"] == "alpha")
        #expect(sealed.count == 0)
    }
}
