import Testing
import Wire

@testable import Messaging

private let flow = Flow(source: "a", destination: .agent("b"))
private let key = Unacknowledged.Key(destination: "b", incarnation: 1)
private let second: UInt64 = 1_000_000_000

private func envelope(_ sequence: UInt64, size: Int = 3) -> Envelope {
    Envelope(
        identity: Identity(flow: flow, incarnation: 1, sequence: sequence), type: "x",
        sent: second, delivery: .atLeastOnce, content: [UInt8](repeating: 1, count: size))
}

private func acknowledgement(
    _ through: UInt64, except: [ClosedRange<UInt64>] = [], missing: [ClosedRange<UInt64>] = []
) -> Acknowledgement {
    var acknowledgement = Acknowledgement(flow: flow, incarnation: 1, through: through)
    acknowledgement.except = except
    acknowledgement.missing = missing
    return acknowledgement
}

/// Keeps `count` envelopes, sent at one time.
private func kept(_ count: UInt64, at now: UInt64 = second) -> Unacknowledged {
    var outbox = Unacknowledged()
    for sequence in 1...count { outbox.add(envelope(sequence), at: now) }
    _ = sendAll(&outbox, at: now)
    return outbox
}

/// Sends what may be sent; the sequences.
private func sendAll(_ outbox: inout Unacknowledged, at now: UInt64) -> [UInt64] {
    var sequences: [UInt64] = []
    while let next = outbox.next(key) {
        sequences.append(next.envelope.sequence)
        outbox.sent(key, at: now)
    }
    return sequences
}

@Suite("What is kept until it is acknowledged") struct UnacknowledgedTests {
    @Test("It goes out in order, once, until it is overdue; then from the first on")
    func resends() {
        var outbox = kept(3)
        #expect(sendAll(&outbox, at: second) == [])
        #expect(outbox.expire(at: second).isEmpty)
        #expect(sendAll(&outbox, at: second) == [])
        #expect(outbox.expire(at: 2 * second).isEmpty)
        #expect(sendAll(&outbox, at: 2 * second) == [1, 2, 3])
    }

    @Test("An acknowledgement is cumulative; what it names as given up is told apart")
    func acknowledges() {
        var outbox = kept(5)
        let first = outbox.acknowledge(acknowledgement(2), at: second)
        #expect(first?.count == 2 && first?.abandoned == [])
        let again = outbox.acknowledge(acknowledgement(1), at: second)
        #expect(again?.count == 0)
        let last = outbox.acknowledge(acknowledgement(5, except: [4...4]), at: second)
        #expect(last?.count == 3)
        #expect(last?.abandoned.map(\.sequence) == [4])
        #expect(outbox.isEmpty && outbox.bytes == 0)
    }

    @Test("What was never sent cannot be acknowledged")
    func refusesTheFuture() {
        var outbox = kept(2)
        let none = outbox.acknowledge(acknowledgement(3), at: second)
        #expect(none == nil)
        #expect(outbox.count == 2)
    }

    @Test("The wait grows, is bounded, and begins anew with an acknowledgement")
    func backsOff() throws {
        var outbox = kept(2)
        var now = second
        var waits: [UInt64] = []
        for _ in 0..<6 {
            let deadline = try #require(outbox.deadline)
            waits.append(deadline - now)
            now = deadline
            _ = outbox.expire(at: now)
            _ = sendAll(&outbox, at: now)
        }
        let limits = outbox.limits
        #expect(waits[0] <= limits.timeout.nanoseconds * 5 / 4)
        #expect(waits[3] > waits[0])
        #expect(waits.allSatisfy { $0 <= limits.timeoutMax.nanoseconds * 5 / 4 })
        #expect(waits[5] >= limits.timeoutMax.nanoseconds * 3 / 4)
        _ = outbox.acknowledge(acknowledgement(1), at: now)
        let deadline = try #require(outbox.deadline)
        #expect(deadline - now <= limits.timeout.nanoseconds * 5 / 4)
    }

    @Test("Sending again begins with few, and goes on with each acknowledgement")
    func startsSlowly() {
        var outbox = kept(100)
        outbox.restart(at: second)
        #expect(sendAll(&outbox, at: second).count == outbox.limits.firstWindow)
        _ = outbox.acknowledge(acknowledgement(8), at: second)
        #expect(sendAll(&outbox, at: second) == Array(9...24))
    }

    @Test("What is missing is sent again alone, and not what was sent just now")
    func fillsHoles() {
        var outbox = kept(10)
        let missing = acknowledgement(2, missing: [3...4, 9...20])
        #expect(outbox.missing(missing, at: second).isEmpty)
        let later = second + second / 2
        #expect(outbox.missing(missing, at: later).map(\.sequence) == [3, 4, 9, 10])
        #expect(outbox.missing(missing, at: later).isEmpty)
    }

    @Test("It is bounded in messages and bytes; one alone always fits")
    func isBounded() {
        var limits = Unacknowledged.Limits()
        limits.messages = 2
        limits.bytes = 100
        var outbox = Unacknowledged(limits: limits)
        #expect(outbox.hasRoom(for: 1_000))
        outbox.add(envelope(1, size: 60), at: second)
        #expect(outbox.hasRoom(for: 40))
        #expect(!outbox.hasRoom(for: 41))
        outbox.add(envelope(2, size: 10), at: second)
        #expect(!outbox.hasRoom(for: 0))
    }

    @Test("Without any acknowledgement for long enough, all of the flow is given up")
    func givesUp() {
        var outbox = kept(3)
        let end = second + outbox.limits.giveUp.nanoseconds
        #expect(outbox.expire(at: end - 1).isEmpty)
        #expect(outbox.expire(at: end).map(\.sequence) == [1, 2, 3])
        #expect(outbox.isEmpty && outbox.deadline == nil)
    }
}

@Suite("The receiver's rule for what is sent at least once") struct KeptReceiverTests {
    private func arrival(_ sequence: UInt64) -> Arrival {
        Arrival(envelope(sequence), transport: "zmq")
    }

    private func delivered(_ outcomes: [Receiver.Outcome]) -> [UInt64] {
        outcomes.compactMap { outcome in
            if case .deliver(let arrival) = outcome { arrival.envelope.sequence } else { nil }
        }
    }

    @Test("A notice makes no hole: what was dropped is told to be missing, and comes again")
    func noHoles() {
        var receiver = Receiver()
        let outcomes = receiver.accept(
            gapIn: flow, incarnation: 1, from: 1, through: 2, reason: "queue full", isKept: true,
            at: second)
        #expect(
            outcomes == [.missing(flow: flow, incarnation: 1, from: 1, through: 2)])
        #expect(receiver.accept(arrival(3), at: second).isEmpty)
        #expect(receiver.missing(.init(envelope(3)), atMost: 9) == [1...2])
        #expect(receiver.expire(at: 30 * second).isEmpty)
        #expect(delivered(receiver.accept(arrival(1), at: second)) == [1])
        #expect(delivered(receiver.accept(arrival(2), at: second)) == [2, 3])
    }

    @Test("A restarted receiver waits for the first: what was delivered stands in its history")
    func restarts() {
        var receiver = Receiver(base: .firstSeen)
        #expect(receiver.accept(arrival(2), at: second).isEmpty)
        #expect(delivered(receiver.accept(arrival(1), at: second)) == [1, 2])
    }

    @Test("The wait has an end, after which the loss is named")
    func givesUp() {
        var receiver = Receiver()
        _ = receiver.accept(arrival(2), at: second)
        let patience = receiver.limits.patience.nanoseconds
        #expect(receiver.deadline == second + patience)
        let outcomes = receiver.expire(at: second + patience)
        #expect(delivered(outcomes) == [2])
        #expect(receiver.abandoned(.init(envelope(1)), atMost: 9) == [1...1])
    }

    @Test("More than may be held is left to its sender, and nothing is given up for it")
    func defers() {
        var limits = Receiver.Limits()
        limits.messages = 2
        var receiver = Receiver(limits: limits)
        _ = receiver.accept(arrival(2), at: second)
        _ = receiver.accept(arrival(3), at: second)
        #expect(receiver.accept(arrival(4), at: second) == [.deferred(arrival(4))])
        #expect(delivered(receiver.accept(arrival(1), at: second)) == [1, 2, 3])
    }

    @Test("An acknowledgement is read as it was written")
    func codec() throws {
        let written = acknowledgement(9, except: [2...3], missing: [10...11])
        let envelope = written.envelope(by: 4, at: second)
        #expect(envelope.kind == .acknowledgement)
        #expect(envelope.source == "b" && envelope.destination == .agent("a"))
        #expect(Acknowledgement(envelope) == written)
        let read = try Envelope(header: envelope.header, content: envelope.content)
        #expect(Acknowledgement(read) == written)
    }

    @Test(
        "What is no acknowledgement is none",
        arguments: [
            "", "[]", "{}", #"{"incarnation":1}"#, #"{"incarnation":-1,"through":1}"#,
            #"{"incarnation":1,"through":1,"missing":[[2,1]]}"#,
            #"{"incarnation":1,"through":1,"except":[[0,1]]}"#,
        ])
    func malformed(content: String) {
        var envelope = acknowledgement(1).envelope(by: 1, at: second)
        envelope.content = Array(content.utf8)
        #expect(Acknowledgement(envelope) == nil)
    }
}
