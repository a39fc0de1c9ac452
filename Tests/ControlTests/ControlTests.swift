import JSON
import Synchronization
import TestSupport
import Testing
import Threads
import ZeroMQ

@testable import Control

/// A child on a thread of its own: says ready, then does with each command what `behave` says.
private func child(
    _ id: ChildID, at endpoint: String, quitAfter limit: Int,
    _ behave: @escaping @Sendable (Command, inout ControlClient) throws -> Void
) throws -> DedicatedThread {
    try DedicatedThread(named: "child") {
        do {
            let context = try Context()
            var control = try ControlClient(
                endpoint: endpoint, name: id.name, incarnation: id.incarnation, role: id.role,
                in: context)
            try control.ready(endpoints: ["router": "tcp://there"])
            var handled = 0
            let end = ContinuousClock.now + .seconds(20)
            while handled < limit, ContinuousClock.now < end {
                var items = [control.pollItem]
                _ = try poll(&items, timeout: .milliseconds(100))
                while let command = try control.next() {
                    handled += 1
                    try behave(command, &control)
                }
            }
        } catch {
            Issue.record(error)
        }
    }
}

@Suite("Control plane", .timeLimit(.minutes(1)))
struct ControlTests {
    private let agent = ChildID(role: "agent", name: "capture", incarnation: 1)

    @Test("A child is waited for, whether it was ready before or becomes so")
    func ready() async throws {
        let server = try ControlServer(endpoint: "tcp://127.0.0.1:*")
        async let early = server.waitReady(
            role: "agent", name: "capture", incarnation: 1, timeout: .seconds(20))
        let thread = try child(agent, at: server.endpoint, quitAfter: 1) { command, control in
            try control.answer(command.id, result: nil)
        }
        #expect(try await early.endpoints == ["router": "tcp://there"])
        let late = try await server.waitReady(
            role: "agent", name: "capture", incarnation: 1, timeout: .zero)
        #expect(late.pid > 0)
        _ = try await server.command("stop", to: agent, timeout: .seconds(20))
        thread.join()
    }

    @Test("Every command gets its own answer, whatever the order of the answers")
    func answers() async throws {
        let server = try ControlServer(endpoint: "tcp://127.0.0.1:*")
        let deferred = Mutex<[UInt64]>([])
        let count = 20
        let thread = try child(agent, at: server.endpoint, quitAfter: count) { command, control in
            let all = deferred.withLock { deferred in
                deferred.append(command.id)
                return deferred
            }
            guard all.count == count else { return }
            for id in all.reversed() { try control.answer(id, result: Value(id)) }
        }
        _ = try await server.waitReady(
            role: "agent", name: "capture", incarnation: 1, timeout: .seconds(20))
        let results = try await withThrowingTaskGroup(of: Int64?.self) { group in
            for _ in 0..<count {
                group.addTask {
                    try await server.command("load", to: agent, timeout: .seconds(20)).integer
                }
            }
            return try await group.reduce(into: Set<Int64>()) { set, id in
                if let id { set.insert(id) }
            }
        }
        #expect(results == Set(deferred.withLock { $0 }.map { Int64($0) }))
        thread.join()
    }

    @Test("A refusal, a timeout, an end, a stranger and a cancellation are told apart")
    func failures() async throws {
        let server = try ControlServer(endpoint: "tcp://127.0.0.1:*")
        let thread = try child(agent, at: server.endpoint, quitAfter: 4) { command, control in
            if command.name == "refuse" { try control.fail(command.id, error: "not now") }
        }
        _ = try await server.waitReady(
            role: "agent", name: "capture", incarnation: 1, timeout: .seconds(20))
        await #expect(
            throws: ControlError.refused(agent, command: "refuse", reason: "not now")
        ) { try await server.command("refuse", to: agent, timeout: .seconds(20)) }
        await #expect(
            throws: ControlError.timedOut(agent, waitingFor: "command 'ignore'")
        ) { try await server.command("ignore", to: agent, timeout: .milliseconds(30)) }
        let stranger = ChildID(role: "agent", name: "stranger", incarnation: 1)
        await #expect(throws: ControlError.unreachable(stranger)) {
            try await server.command("load", to: stranger, timeout: .seconds(20))
        }
        let cancelled = Task {
            try await server.command("ignore", to: agent, timeout: .seconds(20))
        }
        cancelled.cancel()
        await #expect(throws: ControlError.cancelled) { try await cancelled.value }
        let ended = Task {
            try await server.command("ignore", to: agent, timeout: .seconds(20))
        }
        server.forget(agent)
        await #expect(throws: ControlError.self) { try await ended.value }
        await #expect(throws: ControlError.ended(agent, waitingFor: "ready")) {
            try await server.waitReady(
                role: "agent", name: "capture", incarnation: 1, timeout: .seconds(20))
        }
        server.close()
        await #expect(throws: ControlError.closed) {
            try await server.command("load", to: stranger, timeout: .seconds(20))
        }
        // The last commands may not have reached the child; it ends by its own bound.
        _ = thread
    }

    @Test("Whoever waits is told at once when the child ends or the server closes")
    func forgetWakes() async throws {
        let server = try ControlServer(endpoint: "tcp://127.0.0.1:*")
        let first = Task {
            try await server.waitReady(
                role: "agent", name: "capture", incarnation: 1, timeout: .seconds(50))
        }
        server.forget(agent)
        await #expect(throws: ControlError.ended(agent, waitingFor: "ready")) {
            try await first.value
        }
        let second = Task {
            try await server.waitReady(
                role: "agent", name: "other", incarnation: 1, timeout: .seconds(50))
        }
        server.close()
        await #expect(throws: ControlError.closed) { try await second.value }
    }

    @Test("Malformed messages are counted and reported, and the next good one arrives")
    func malformed() async throws {
        let server = try ControlServer(endpoint: "tcp://127.0.0.1:*")
        let context = try Context()
        do {
            var stranger = try Socket(
                .dealer, in: context,
                options: SocketOptions(routingID: "no-child", linger: .seconds(5)))
            try stranger.connect(to: server.endpoint)
            _ = try stranger.send([Array("{}".utf8)])
            var liar = try Socket(
                .dealer, in: context,
                options: SocketOptions(routingID: agent.routingID, linger: .seconds(5)))
            try liar.connect(to: server.endpoint)
            var generator = SeededGenerator(seed: 7)
            for _ in 0..<200 {
                let length = Int.random(in: 0..<60, using: &generator)
                let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
                _ = try liar.send([bytes])
            }
            _ = try liar.send([[1], [2]])
            _ = try liar.send([
                ControlCodec.encode(
                    .ready(name: "other", role: "agent", incarnation: 1, pid: 1, [:]))
            ])
            _ = try liar.send([ControlCodec.encode(.event(name: "good", fields: [:]))])
        }
        var seen = 0
        for await event in server.events {
            if case .malformed = event { seen += 1 }
            if case .event(_, "good", _) = event { break }
        }
        #expect(seen >= 202)
        #expect(server.malformed >= 202)
    }

    @Test("A child counts what it cannot read and says so")
    func malformedCommand() throws {
        let context = try Context()
        var router = try Socket(
            .router, in: context, options: SocketOptions(routerMandatory: true))
        try router.bind(to: "tcp://127.0.0.1:*")
        var control = try ControlClient(
            endpoint: router.lastEndpoint, name: "capture", incarnation: 1, role: "agent",
            in: context)
        try control.ready(endpoints: [:])
        var items = [router.pollItem()]
        _ = try poll(&items, timeout: .seconds(20))
        let ready = try #require(try router.receive())
        _ = try router.send([ready[0], Array("nonsense".utf8)])
        _ = try router.send([
            ready[0], ControlCodec.encode(Command(id: 4, name: "drain", arguments: [:])),
        ])
        var command: Command?
        for _ in 0..<200 where command == nil {
            var items = [control.pollItem]
            _ = try poll(&items, timeout: .milliseconds(100))
            command = try control.next()
        }
        #expect(command == Command(id: 4, name: "drain", arguments: [:]))
        #expect(control.malformed == 1)
    }

    @Test("An endpoint that cannot be bound is a typed error")
    func unbindable() {
        #expect(throws: ControlError.self) { try ControlServer(endpoint: "nonsense") }
    }
}
