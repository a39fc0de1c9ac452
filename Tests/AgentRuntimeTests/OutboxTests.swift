import Messaging
import Recording
import TestSupport
import Testing
import Wire

@testable import AgentRuntime

@Test("While there is no room each envelope fails at once, and all are on record as dropped")
func blockedOutbox() throws {
    let directory = try TemporaryDirectory()
    let clock = RunClock.starting()
    let mesh = InProcessMesh(inboxMax: 4)
    let path = directory.file("a.1.mcap")
    let recorder = try HistoryWriter(path: path, process: "a", clock: clock)
    let transport = try InProcessTransport(agent: "a", mesh: mesh)
    let receiver = try InProcessTransport(agent: "b", mesh: mesh)
    var options = AgentClient.Options()
    options.sendTimeout = .milliseconds(20)
    let client = try AgentClient(
        name: "a", incarnation: 1, clock: clock, transport: transport, recorder: recorder,
        options: options)
    let outbox = Outbox(client: client, transport: transport)
    func send() throws {
        try outbox.send(to: .agent("b"), type: "x", content: [1], encoding: .binary)
    }
    for _ in 1...4 { try send() }
    for waited in [options.sendTimeout, .zero, .zero] {
        let error = #expect(throws: MessagingError.self) { try send() }
        #expect(error?.reason == .noRoom(waited: waited))
        #expect(outbox.isBlocked)
    }
    for _ in 1...4 { _ = try receiver.receive() }
    try send()
    #expect(!outbox.isBlocked)
    #expect(outbox.failed == 3)
    let history = try HistoryReader.read(path: path)
    #expect(history.records.map(\.identity.sequence) == Array(1...8))
    let dropped = history.annotations.compactMap { annotation in
        if case .dropped(let identity, _, "a", _) = annotation { identity.sequence } else { nil }
    }
    #expect(dropped == [5, 6, 7])
}
