import Glibc
import JSON
import Recording
import TestSupport
import Testing
import Wire

@testable import Routing

/// What reads bytes, without a socket before it: the fastest, so most inputs are tried here.
@Suite("Bad input: readers of bytes", .serialized, .timeLimit(.minutes(10)))
struct CodecInputs {
    @Test("Whatever a header holds, a proxy routes by it only where its receiver can read it")
    func headers() throws {
        let corpus =
            Corpus.envelopes(from: "a", to: .agent("b"))
            + Corpus.envelopes(from: "a", to: .topic("some.topic"))
        var (read, refused) = (0, 0)
        try Plan(suite: "headers", share: 16).play { _, name, inputs in
            for _ in 0..<Plan.roundSize {
                let header = inputs.mutate(inputs.pick(corpus).header)
                let envelope = try? Envelope(header: header, content: [])
                if let view = HeaderView(header) {
                    let envelope = try #require(envelope, name)
                    #expect(view.identity(in: header) == envelope.identity, name)
                    #expect(view.kind == envelope.kind && view.hops == envelope.hops, name)
                }
                if let envelope, envelope.isEncodable {
                    let again = try? Envelope(header: envelope.header, content: [])
                    #expect(again?.identity == envelope.identity, name)
                    read += 1
                } else {
                    refused += 1
                }
            }
        }
        // Both happened, so that neither was tried by nothing.
        #expect(Plan.only != nil || read > 0 && refused > 0)
    }

    @Test("The seed's wire, identities, descriptors and numbers are read or refused")
    func texts() throws {
        let seeds = Corpus.seedFrames(from: "a", to: "b")
        let descriptor = Array(Corpus.descriptor.json.canonical.utf8)
        try Plan(suite: "texts", share: 15).play { round, name, inputs in
            for _ in 0..<Plan.roundSize {
                let bytes = inputs.mutate(inputs.pick(seeds))
                _ = try? SeedMessage(parsing: bytes)
                _ = SeedMessage.content(of: bytes)
                if case .envelope(let envelope)? = try? SeedFrame(parsing: bytes) {
                    _ = SeedFrame.bytes(of: envelope)
                }
                _ = Identity(causationID: inputs.mutate("a/1/topic:b.c/17"))
                _ = PointCloudDescriptor(parsing: inputs.mutate(descriptor))
                _ = Base64.decode(inputs.mutate("aGVsbG8gd29ybGQ="))
            }
            let good = Corpus.good(round, to: .agent("b"))
            let read = try SeedFrame(parsing: SeedFrame.bytes(of: good))
            #expect(read == .envelope(good), name)
        }
    }

    @Test("A batch is as many envelopes as it says, in order, or none at all")
    func batches() throws {
        let batch = Corpus.batch(from: "a", to: .agent("b"), 9)
        let whole = try batch.unbatched
        #expect(whole.map(\.sequence) == Array(11...19))
        try Plan(suite: "batches", share: 4).play { _, name, inputs in
            for _ in 0..<Plan.roundSize {
                var wrong = batch
                wrong.content = inputs.mutate(batch.content)
                let count = wrong.envelopeCount
                let envelopes = (try? wrong.unbatched) ?? []
                #expect(envelopes.count <= count && count <= Batch.messagesMax, name)
                #expect(envelopes.isEmpty || envelopes.count == count, name)
                #expect(envelopes.allSatisfy { $0.identity.flow == batch.identity.flow }, name)
                let sequences = envelopes.map(\.sequence)
                #expect(sequences == Array(11..<UInt64(11 + sequences.count)), name)
            }
        }
    }

    @Test("A history with other bytes in it is read as far as it is whole, or refused")
    func histories() throws {
        let directory = try TemporaryDirectory()
        let path = directory.file("a.1.mcap")
        let writer = try HistoryWriter(path: path, process: "a", clock: RunClock.starting())
        for envelope in Corpus.envelopes(from: "a", to: .agent("b")) {
            try writer.record(envelope, .sent, transport: "zmq")
            try writer.annotate(.note("something", at: 1))
        }
        try writer.seal()
        let live = try Self.bytes(of: path)
        try HistorySealer.seal(path: path)
        let sealed = try Self.bytes(of: path)
        let damaged = directory.file("damaged.mcap")
        try Plan(suite: "histories", share: 10).play { _, name, inputs in
            for _ in 0..<Plan.roundSize {
                try Self.write(inputs.mutate(inputs.pick([live, sealed])), to: damaged)
                _ = try? HistoryReader.read(path: damaged)
            }
            let whole = try HistoryReader.read(path: path)
            #expect(whole.notes.isEmpty, name)
        }
    }
}

extension CodecInputs {
    static func bytes(of path: String) throws -> [UInt8] {
        let file = try #require(fopen(path, "r"))
        defer { fclose(file) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while case let count = fread(&buffer, 1, buffer.count, file), count > 0 {
            bytes += buffer[..<count]
        }
        return bytes
    }

    static func write(_ bytes: [UInt8], to path: String) throws {
        let file = try #require(fopen(path, "w"))
        fwrite(bytes, 1, bytes.count, file)
        fclose(file)
    }
}
