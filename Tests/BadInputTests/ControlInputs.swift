import Control
import JSON
import TestSupport
import Testing
import Wire
import ZeroMQ

/// What may come on both ends of the control plane.
@Suite("Bad input: the control plane", .serialized, .timeLimit(.minutes(10)))
struct ControlInputs {
    @Test("Whatever children say, the next one that is ready is heard", arguments: ["ipc", "tcp"])
    func server(scheme: String) async throws {
        let directory = try TemporaryDirectory()
        let context = try Context()
        let server = try ControlServer(
            endpoint: scheme == "tcp" ? "tcp://127.0.0.1:*" : "ipc://\(directory.file("c"))")
        let names: [String?] = ["agent:a:1", "agent:b:2", "branch:core:1", "nonsense", nil]
        let senders = try names.map {
            try Stranger(.dealer, named: $0, at: server.endpoint, in: context)
        }
        let corpus = [
            #"{"control":1,"kind":"ready","name":"a","role":"agent","incarnation":1,"pid":77,"endpoints":{"router":"tcp://x"}}"#,
            #"{"control":1,"kind":"answer","id":1,"ok":true,"result":{"sent":5}}"#,
            #"{"control":1,"kind":"answer","id":2,"ok":false,"error":"no"}"#,
            #"{"control":1,"kind":"event","event":"something","count":1}"#,
        ].map { Array($0.utf8) }
        var rounds: [(Int, Comment)] = []
        try Plan(suite: "children on \(scheme)", share: 3).play { round, name, inputs in
            for _ in 0..<Plan.roundSize {
                try inputs.pick(senders).send(inputs.mutate([inputs.mutate(inputs.pick(corpus))]))
            }
            for sender in senders { try sender.drain() }
            let incarnation = UInt32(round)
            var child = try ControlClient(
                endpoint: server.endpoint, name: "good", incarnation: incarnation, role: "agent",
                in: context)
            try child.ready(endpoints: ["round": "\(round)"])
            rounds.append((round, name))
        }
        for (round, name) in rounds {
            let ready = try await server.waitReady(
                role: "agent", name: "good", incarnation: UInt32(round), timeout: patience)
            #expect(ready.endpoints == ["round": "\(round)"], name)
        }
        #expect(Plan.only != nil || server.malformed > 0)
        server.close()
    }

    @Test("Whatever an orchestrator says, a child counts it, and obeys the next good command")
    func client() throws {
        let context = try Context()
        var options = SocketOptions(linger: .zero, routerMandatory: true)
        options.xpubVerbose = true
        var router = try Socket(.router, in: context, options: options)
        try router.bind(to: "tcp://127.0.0.1:*")
        var child = try ControlClient(
            endpoint: router.lastEndpoint, name: "a", incarnation: 1, role: "agent", in: context)
        try child.ready(endpoints: [:])
        try eventually("the child") { try router.receive() }
        let corpus = [
            #"{"control":1,"kind":"command","id":1,"command":"load","arguments":{"count":10,"rate":5}}"#,
            #"{"control":1,"kind":"command","id":2,"command":"stop","arguments":{}}"#,
            #"{"control":1,"kind":"command","id":3,"command":"drain"}"#,
        ].map { Array($0.utf8) }
        try Plan(suite: "orchestrators", share: 3).play { round, name, inputs in
            for _ in 0..<Plan.roundSize {
                let frames = inputs.mutate([inputs.mutate(inputs.pick(corpus))])
                _ = try router.send([Array("agent:a:1".utf8)] + frames)
            }
            let good =
                #"{"control":1,"kind":"command","id":\#(round),"command":"good","arguments":{}}"#
            _ = try router.send([Array("agent:a:1".utf8), Array(good.utf8)])
            try eventually(name) {
                while try router.receive() != nil {}
                while let command = try child.next() {
                    if command.name == "good", command.id == UInt64(round) { return () }
                }
                return nil
            }
        }
        #expect(Plan.only != nil || child.malformed > 0)
    }
}
