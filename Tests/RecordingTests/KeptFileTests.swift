import Foundation
import TestSupport
import Testing
import Wire

@testable import Recording

private let outbound = Flow(source: "a", destination: .agent("b"))
private let inbound = Flow(source: "b", destination: .agent("a"))

private func envelope(
    _ sequence: UInt64, of flow: Flow = outbound, incarnation: UInt32 = 1, size: Int = 3
) -> Envelope {
    Envelope(
        identity: Identity(flow: flow, incarnation: incarnation, sequence: sequence), type: "x",
        sent: sequence, contentEncoding: .binary, delivery: .atLeastOnce,
        content: [UInt8](repeating: UInt8(sequence), count: size))
}

/// Histories of an agent `a`, one incarnation after the other.
private struct Lives: ~Copyable {
    let directory: TemporaryDirectory
    let clock = RunClock(offset: 0)

    init() throws { directory = try TemporaryDirectory() }

    func path(_ incarnation: UInt32) -> String { "\(directory.path)/a.\(incarnation).mcap" }

    func live(_ incarnation: UInt32, _ body: (HistoryWriter) throws -> Void) throws {
        let writer = try HistoryWriter(path: path(incarnation), process: "a", clock: clock)
        try body(writer)
        try writer.seal()
    }

    func recalled(before incarnation: UInt32) throws -> OwnHistory {
        try #require(
            try OwnHistory.recalled(
                of: "a", before: path(incarnation), incarnation: incarnation))
    }

    var keptPath: String { "\(directory.path)/a.kept" }
}

@Suite("What former incarnations recorded, without reading all of it") struct KeptFileTests {
    /// Two lives; the first sends five, of which two are acknowledged, and is delivered three.
    private func lives() throws -> Lives {
        let lives = try Lives()
        try lives.live(1) { writer in
            for sequence in 1...5 {
                try writer.record(envelope(UInt64(sequence)), .sent, transport: "zmq")
            }
            for sequence in 1...3 {
                try writer.record(
                    envelope(UInt64(sequence), of: inbound), .delivered, transport: "zmq")
            }
            try writer.annotate(
                .acknowledged(flow: outbound, incarnation: 1, through: 2, by: "b", at: 9))
        }
        return lives
    }

    @Test("The file says what the histories say, which are then not read any more")
    func replaces() throws {
        let lives = try lives()
        let past = try lives.recalled(before: 2)
        #expect(past.unacknowledged.map(\.sequence) == [3, 4, 5])
        try KeptFile.write(past, beside: lives.path(2), before: 2)
        try lives.live(2) { writer in
            try writer.annotate(
                .acknowledged(flow: outbound, incarnation: 1, through: 4, by: "b", at: 10))
            try writer.record(envelope(4, of: inbound), .delivered, transport: "zmq")
            try writer.record(envelope(1, incarnation: 2), .sent, transport: "zmq")
        }
        let whole = try OwnHistoryReading.all(lives, before: 3)
        // What is not there is not read.
        try FileManager.default.removeItem(atPath: lives.path(1))
        let found = try lives.recalled(before: 3)
        #expect(found.notes.isEmpty)
        #expect(found.unacknowledged == whole.unacknowledged)
        #expect(found.unacknowledged.map(\.incarnation) == [1, 2])
        #expect(found.marks == whole.marks)
        #expect(found.marks.map(\.next) == [5])
    }

    @Test("A place in a history that goes on is read on from, and one that is none is noticed")
    func places() throws {
        let lives = try lives()
        let past = try lives.recalled(before: 2)
        try lives.live(2) { writer in
            try writer.record(envelope(4, of: inbound), .delivered, transport: "zmq")
            try writer.record(envelope(1, incarnation: 2), .sent, transport: "zmq")
            let known = OwnHistory(
                agent: "a",
                marks: past.marks.map {
                    OwnHistory.Mark(
                        flow: $0.flow, incarnation: $0.incarnation, next: 5, abandoned: [])
                }, unacknowledged: past.unacknowledged + [envelope(1, incarnation: 2)])
            try KeptFile.write(
                known, beside: lives.path(2), before: 2, and: writer.place)
            // Behind it: a channel that is known, and one that is new.
            try writer.record(envelope(2, incarnation: 2), .sent, transport: "zmq")
            try writer.record(envelope(3, incarnation: 2), .sent, transport: "nats")
            try writer.annotate(
                .acknowledged(flow: outbound, incarnation: 1, through: 5, by: "b", at: 10))
        }
        let whole = try OwnHistoryReading.all(lives, before: 3)
        let found = try lives.recalled(before: 3)
        #expect(found.notes.isEmpty)
        #expect(found.unacknowledged == whole.unacknowledged)
        #expect(found.unacknowledged.map(\.sequence) == [1, 2, 3])
        #expect(found.marks == whole.marks)
        // The same history, sealed: there is no record at that place any more.
        try HistorySealer.seal(path: lives.path(2))
        let read = try lives.recalled(before: 3)
        #expect(read.notes.count == 1)
        #expect(read.unacknowledged == whole.unacknowledged && read.marks == whole.marks)
    }

    @Test("A damaged one is noticed, whichever byte it is, and the histories are read instead")
    func damaged() throws {
        let lives = try lives()
        let past = try lives.recalled(before: 2)
        try KeptFile.write(past, beside: lives.path(2), before: 2)
        try lives.live(2) { _ in }
        let right = try #require(FileManager.default.contents(atPath: lives.keptPath))
        var variants = stride(from: 0, to: right.count, by: 7).map { place -> Data in
            var wrong = right
            wrong[place] ^= 0x20
            return wrong
        }
        variants += [Data(), right.prefix(10), right.dropLast(), right + [0]]
        for wrong in variants {
            try wrong.write(to: URL(filePath: lives.keptPath))
            let found = try lives.recalled(before: 3)
            #expect(found.notes.count == 1)
            #expect(found.unacknowledged == past.unacknowledged)
            #expect(found.marks == past.marks)
        }
    }

    @Test("One of a later incarnation, or of another agent, is not used")
    func foreign() throws {
        let lives = try lives()
        let past = try lives.recalled(before: 2)
        try KeptFile.write(past, beside: lives.path(4), before: 4)
        #expect(try lives.recalled(before: 2).notes.count == 1)
        try KeptFile.write(
            OwnHistory(agent: "b", marks: [], unacknowledged: []), beside: lives.path(2), before: 2)
        let found = try lives.recalled(before: 2)
        #expect(found.notes.count == 1)
        #expect(found.unacknowledged.map(\.sequence) == [3, 4, 5])
    }

    @Test("A content that is not in the history is lost, and named, until it is acknowledged")
    func contentless() throws {
        let lives = try Lives()
        // As a program may record that keeps only the digests of large contents.
        let channel = Channel(
            flow: outbound, incarnation: 1, type: "x", transport: "zmq", direction: .sent,
            lane: .primary, hops: 0, contentEncoding: .binary, isDigest: true, sequenceHigh: 0,
            delivery: .atLeastOnce)
        var bytes = MCAP.magic + channel.record(id: 2, agent: "a")
        for sequence in 1...3 {
            bytes.appendRecord(.message) { body in
                body.append(integer: UInt16(2))
                body.append(integer: UInt32(sequence))
                body.append(integer: UInt64(sequence))
                body.append(integer: UInt64(sequence))
                body += Array("{}".utf8)
            }
        }
        try Data(bytes + MCAP.trailer).write(to: URL(filePath: lives.path(1)))
        let past = try lives.recalled(before: 2)
        #expect(past.lost.map(\.sequence) == [1, 2, 3])
        #expect(past.unacknowledged.isEmpty)
        try lives.live(2) { writer in
            try writer.annotate(
                .acknowledged(flow: outbound, incarnation: 1, through: 2, by: "b", at: 10))
        }
        #expect(try lives.recalled(before: 3).lost.map(\.sequence) == [3])
    }
}

private enum OwnHistoryReading {
    /// Reads every history, whatever lies beside them.
    static func all(_ lives: borrowing Lives, before incarnation: UInt32) throws -> OwnHistory {
        var past = OwnHistory(agent: "a")
        for former in 1..<incarnation { try past.read(path: lives.path(former)) }
        return past
    }
}
