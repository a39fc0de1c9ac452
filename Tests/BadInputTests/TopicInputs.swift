import JSON
import Routing
import TestSupport
import Testing
import Wire
import ZeroMQ

/// What publishers and subscribers may send to a topic proxy.
@Suite("Bad input: the topic proxy", .serialized, .timeLimit(.minutes(10)))
struct TopicInputs {
    @Test("Whatever is published or subscribed to, the next good envelope reaches its subscriber")
    func both() throws {
        let context = try Context()
        let proxy = try ProxyThread.topics(
            TopicConfiguration(
                name: "topics", prefixes: ["t"], stallTimeout: .milliseconds(20)), in: context)
        let publish = proxy.endpoints["publish"]
        let publishers = try (0..<3).map { _ in try Stranger(.xpub, at: publish, in: context) }
        let good = try Stranger(.xpub, at: publish, in: context)
        let subscribers = try (0..<3).map { _ in
            try Stranger(.xsub, at: proxy.endpoints["subscribe"], in: context)
        }
        let receiver = try Stranger(
            .subscribe, at: proxy.endpoints["subscribe"], in: context)
        try receiver.socket.subscribe(to: Array("t.good".utf8))
        // Until the proxy has asked, nobody hears what is published.
        for publisher in publishers + [good] {
            try eventually("the proxy's subscription") { try publisher.socket.receive() }
        }
        var corpus: [[[UInt8]]] = [[Array("t.a".utf8), Array("foreign".utf8)]]
        for envelope in Corpus.envelopes(from: "a", to: .topic("t.a")) {
            corpus.append([Array("t.a".utf8), envelope.header, envelope.content])
            corpus.append([Array("_marker.b".utf8), envelope.header, envelope.content])
        }
        let asked = ["\u{1}t.a", "\u{0}t.a", "\u{1}", "\u{1}_confirm.b.1-1", "\u{1}_marker.b"]
            .map { Array($0.utf8) }
        try Plan(suite: "topics", share: 8).play { round, name, inputs in
            for _ in 0..<Plan.roundSize / 2 {
                try inputs.pick(publishers).send(inputs.mutate(inputs.pick(corpus)), name)
                try inputs.pick(subscribers).send([inputs.mutate(inputs.pick(asked))], name)
            }
            for stranger in publishers + subscribers { try stranger.drain() }
            let envelope = Corpus.good(round, to: .topic("t.good"))
            // A subscription takes its way: what was sent before is not for it.
            try eventually(name) {
                try good.send([Array("t.good".utf8), envelope.header, envelope.content], name)
                for stranger in subscribers { try stranger.drain() }
                while let frames = try receiver.socket.receive() {
                    if BadInputTests.envelope(in: frames)?.isGood(round) == true { return () }
                }
                return nil
            }
        }
        let status = try proxy.command("status")
        #expect(Plan.only != nil || (status["dead_letters"]?["malformed"]?.integer ?? 0) > 0)
        #expect(proxy.stop() == nil)
    }
}
