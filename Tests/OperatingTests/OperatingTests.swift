internal import Glibc
internal import JSON
internal import Synchronization
internal import TestSupport
internal import Testing

@testable internal import Operating

@Suite("The socket of people")
struct OperatingTests {
    private func server(
        in directory: TemporaryDirectory, _ handler: @escaping OperatorServer.Handler
    ) throws -> OperatorServer {
        try OperatorServer(path: directory.file("s"), handler: handler)
    }

    @Test("A request has its answer, with all its parts in order")
    func answers() throws {
        let directory = try TemporaryDirectory()
        let server = try server(in: directory) { exchange in
            let count = exchange.request.arguments["count"]?.integer ?? 0
            for number in 0..<count { exchange.send(.integer(number)) }
            exchange.finish(["asked": .string(exchange.request.name)])
        }
        defer { server.close() }
        let client = try OperatorClient(path: server.path)
        for count in [0, 3, 20_000] as [Int64] {
            var items: [Value] = []
            let result = try client.ask(
                Request("count", ["count": .integer(count)]), timeout: .seconds(30)
            ) {
                items.append($0)
                return true
            }
            #expect(result == ["asked": "count"])
            #expect(items == (0..<count).map { .integer($0) })
        }
    }

    @Test("A refusal carries its code, its reason and its remedy")
    func refusals() throws {
        let directory = try TemporaryDirectory()
        let refusal = OperatingError(.badArguments, "no 'camera'", remedy: "There is 'mesh'.")
        let server = try server(in: directory) { $0.fail(refusal) }
        defer { server.close() }
        let client = try OperatorClient(path: server.path)
        #expect(throws: refusal) { try client.ask(Request("stop"), timeout: .seconds(30)) }
    }

    @Test("Only this user may connect, and the socket is gone after the end")
    func socket() throws {
        let directory = try TemporaryDirectory()
        let server = try server(in: directory) { $0.finish() }
        var status = stat()
        try #require(stat(server.path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        server.close()
        #expect(stat(server.path, &status) == -1)
        #expect(throws: OperatingError.self) { try OperatorClient(path: server.path) }
    }

    @Test(
        "What is no message is refused, and the next one answered",
        arguments: [
            "", "{", "[]", "{\"synmesh\":2,\"id\":1,\"request\":\"ps\"}",
            "{\"synmesh\":1,\"request\":\"ps\"}", "{\"synmesh\":1,\"id\":1}",
            "{\"synmesh\":1,\"id\":1,\"request\":\"ps\",\"arguments\":[]}", "\u{0}\u{1}",
        ])
    func malformed(line: String) throws {
        let directory = try TemporaryDirectory()
        let server = try server(in: directory) { $0.finish(["well": true]) }
        defer { server.close() }
        let socket = try UnixSocket.open(server.path) { connect($0, $1, $2) }
        defer { close(socket) }
        let bytes = Array((line + "\n").utf8) + Message.encode(Request("ps"), id: 5)
        #expect(write(socket, bytes, bytes.count) == bytes.count)
        var text = ""
        var buffer = [UInt8](repeating: 0, count: 4_096)
        while text.count(where: { $0 == "\n" }) < 2 {
            let count = read(socket, &buffer, buffer.count)
            guard count > 0 else { break }
            text += String(decoding: buffer.prefix(count), as: UTF8.self)
        }
        let lines = text.split(separator: "\n").map { Array($0.utf8) }
        let replies = try lines.map { try Message.reply($0) }
        #expect(replies.count == 2)
        #expect(replies.contains { $0.id == 5 && $0.1 == .result(["well": true]) })
        #expect(
            replies.contains { reply in
                if case .failure(let error) = reply.1 { error.code == .malformed } else { false }
            })
    }

    @Test("A line without an end is not kept for ever: the connection ends")
    func endless() throws {
        let directory = try TemporaryDirectory()
        let server = try server(in: directory) { $0.finish() }
        defer { server.close() }
        let socket = try UnixSocket.open(server.path) { connect($0, $1, $2) }
        defer { close(socket) }
        let block = [UInt8](repeating: UInt8(ascii: "x"), count: 65_536)
        var total = 0
        while total < 64 << 20 {
            let count = send(socket, block, block.count, CInt(MSG_NOSIGNAL))
            guard count > 0 else { break }
            total += count
        }
        #expect(total < 64 << 20)
        let other = try OperatorClient(path: server.path)
        #expect(try other.ask(Request("ps"), timeout: .seconds(30)) == [:])
    }

    @Test("Whoever does not read is let go, and holds up nobody")
    func slow() throws {
        let directory = try TemporaryDirectory()
        let sent = Count()
        let server = try server(in: directory) { exchange in
            guard exchange.request.name == "flood" else { return exchange.finish() }
            let line = Value.string(String(repeating: "x", count: 10_000))
            while exchange.send(line) { sent.value.withLock { $0 += 1 } }
            sent.value.withLock { $0 = -$0 }
        }
        defer { server.close() }
        let socket = try UnixSocket.open(server.path) { connect($0, $1, $2) }
        defer { close(socket) }
        let bytes = Message.encode(Request("flood"), id: 1)
        #expect(write(socket, bytes, bytes.count) == bytes.count)
        let other = try OperatorClient(path: server.path)
        #expect(try other.ask(Request("ps"), timeout: .seconds(30)) == [:])
        var rounds = 0
        while sent.value.withLock({ $0 }) >= 0, rounds < 3_000 {
            poll(nil, 0, 10)
            rounds += 1
        }
        #expect(sent.value.withLock { $0 } < 0, "the flood has ended")
    }

    @Test("An answer that does not come is late, and a mesh that ends says so")
    func late() throws {
        let directory = try TemporaryDirectory()
        let server = try server(in: directory) { _ in }
        let client = try OperatorClient(path: server.path)
        #expect(throws: OperatingError(.late, "no answer in time")) {
            try client.ask(Request("ps"), timeout: .milliseconds(20))
        }
        server.close()
        #expect(throws: OperatingError.self) {
            try client.ask(Request("ps"), timeout: .seconds(30))
        }
    }
}

private final class Count: Sendable {
    let value = Mutex(0)
}
