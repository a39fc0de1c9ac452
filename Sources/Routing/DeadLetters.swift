internal import Recording
internal import Wire

/// Why an envelope was not delivered.
public enum DeadLetterReason: String, Sendable, CaseIterable {
    /// No agent of that name is registered here, linked, or connected.
    case unknownDestination = "unknown destination"
    /// The destination's queue is at its bound.
    case queueFull = "queue full"
    /// The destination took nothing for the whole stall timeout, and its queue is at its bound.
    case stalled = "stalled"
    /// The bytes are no envelope.
    case malformed = "malformed"
    /// The content is larger than the NATS server carries.
    case oversize = "oversize"
    /// The content came in chunks, and not all of them came, or not as they were sent.
    case incomplete = "incomplete"
    /// More bridges passed than allowed.
    case hopLimit = "hop limit"
    /// The destination speaks the seed's wire, and was sent something else past its branch.
    case wrongWire = "not in its receiver's wire"
    /// The destination is on NATS, and NATS is not there.
    case natsUnavailable = "nats unavailable"
    /// The destination never came while this proxy ran.
    case neverAttached = "never attached at shutdown"
    /// The destination did not take it before this proxy stopped.
    case undelivered = "undelivered at shutdown"
}

/// Counts, logs and records what could not be delivered: nothing is dropped in silence.
struct DeadLetters {
    private struct Tally {
        var count = 0
        var unlogged = 0
        var loggedAt: ContinuousClock.Instant?
        var last = ""
    }

    /// At most one line a reason in this time; the line says how many it stands for.
    private static let logInterval = Duration.seconds(1)
    /// What is malformed carries no identity; more than this is named by its number alone.
    private static let notesMax = 1_000

    let name: String
    let clock: RunClock
    let log: @Sendable (String) -> Void
    private var tallies: [DeadLetterReason: Tally] = [:]
    private var notes = 0
    /// Messages that could not be read and do not stand in the history yet.
    private var unnamed = 0

    init(name: String, clock: RunClock, log: @escaping @Sendable (String) -> Void) {
        self.name = name
        self.clock = clock
        self.log = log
    }

    /// By reason, in a fixed order, without those that are zero.
    var counts: [(reason: String, count: Int)] {
        DeadLetterReason.allCases.compactMap { reason in
            tallies[reason].map { (reason.rawValue, $0.count) }
        }
    }

    /// Accounts for one envelope.
    mutating func add(
        _ identity: Identity, _ reason: DeadLetterReason, history: HistoryKeeper
    ) {
        tally(reason, "\(identity)")
        history.annotate(.dropped(identity, reason: reason.rawValue, by: name, at: clock.now))
    }

    /// Accounts for a message that nobody can read: it is in no count of what was sent, so a run
    /// that lost one must not be judged as if it were whole.
    ///
    /// - Parameters:
    ///   - what: What was wrong with it.
    ///   - sender: Who sent it; empty where that is not known.
    ///   - history: Where it is named.
    mutating func addUnreadable(_ what: String, from sender: String, history: HistoryKeeper) {
        tally(.malformed, what)
        notes += 1
        guard notes <= Self.notesMax else {
            unnamed += 1
            return
        }
        history.annotate(
            .unreadable(count: 1, from: sender, reason: what, by: name, at: clock.now))
    }

    /// Names by their number those messages that were too many to be named one by one.
    mutating func nameTheRest(history: HistoryKeeper) {
        guard unnamed > 0 else { return }
        history.annotate(
            .unreadable(
                count: unnamed, from: "", reason: "more than are named one by one", by: name,
                at: clock.now))
        unnamed = 0
    }

    /// Accounts for bytes that are no message.
    mutating func addMalformed(_ what: String, history: HistoryKeeper) {
        tally(.malformed, what)
        notes += 1
        if notes <= Self.notesMax {
            history.annotate(.note("malformed, dropped by \(name): \(what)", at: clock.now))
        }
    }

    private mutating func tally(_ reason: DeadLetterReason, _ last: String) {
        var tally = tallies[reason] ?? Tally()
        tally.count += 1
        tally.unlogged += 1
        tally.last = last
        write(&tally, reason)
        tallies[reason] = tally
    }

    /// Logs what waits for its line, at once.
    mutating func writeAll() {
        for reason in tallies.keys { tallies[reason]?.loggedAt = nil }
        writeWaiting()
    }

    private func write(_ tally: inout Tally, _ reason: DeadLetterReason) {
        let now = ContinuousClock.now
        if let loggedAt = tally.loggedAt, now - loggedAt < Self.logInterval { return }
        log("DEAD LETTER: \(tally.unlogged) x \(reason.rawValue), last: \(tally.last)")
        tally.unlogged = 0
        tally.loggedAt = now
    }

    /// Logs what waits for its line.
    mutating func writeWaiting() {
        for (reason, tally) in tallies where tally.unlogged > 0 {
            var tally = tally
            write(&tally, reason)
            tallies[reason] = tally
        }
    }
}

/// The proxy's history, where it keeps one; failures to record are logged once and counted.
final class HistoryKeeper {
    private let writer: HistoryWriter?
    private let log: @Sendable (String) -> Void
    private(set) var failures = 0

    init(_ writer: HistoryWriter?, log: @escaping @Sendable (String) -> Void) {
        self.writer = writer
        self.log = log
    }

    func record(_ envelope: Envelope, _ direction: Direction, transport: Transport) {
        attempt { writer throws(HistoryError) in
            try writer.record(envelope, direction, transport: transport.rawValue)
        }
    }

    func annotate(_ annotation: Annotation) {
        attempt { writer throws(HistoryError) in try writer.annotate(annotation) }
    }

    /// Ends the history; an error where anything is not in it.
    func seal() throws(RoutingError) {
        attempt { writer throws(HistoryError) in try writer.seal() }
        guard failures == 0 else { throw .unrecorded(count: failures) }
    }

    private func attempt(_ body: (HistoryWriter) throws(HistoryError) -> Void) {
        guard let writer else { return }
        do throws(HistoryError) {
            try body(writer)
        } catch {
            failures += 1
            if failures == 1 { log("HISTORY: \(error)") }
        }
    }
}
