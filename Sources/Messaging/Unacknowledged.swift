internal import DequeModule
internal import Wire

/// What a sender keeps of the class `at_least_once` until it is acknowledged, and when each of it
/// goes out, for the first time and again.
///
/// Per stream (a destination and an incarnation of the sender) the envelopes stand in the order of
/// their sequences, with one place up to which they were sent. Where nothing is acknowledged in
/// time, or the way was broken, that place goes back to the beginning: everything is sent again in
/// order, few at first and more with every acknowledgement. The wait doubles each time, up to a
/// bound, and differs a little for each, so that many senders do not all come back at once.
///
/// A pure value: time is an argument.
struct Unacknowledged {
    /// What is bounded, and by how much.
    struct Limits: Hashable, Sendable {
        /// The most envelopes that are kept.
        var messages = 10_000
        /// The most content that is kept, in bytes; one envelope alone always fits.
        var bytes = 64 << 20
        /// The first wait for an acknowledgement.
        var timeout: Duration = .milliseconds(250)
        /// The longest wait.
        var timeoutMax: Duration = .seconds(2)
        /// Without any acknowledgement for so long, what is kept for a stream is given up.
        var giveUp: Duration = .seconds(60)
        /// How many are sent again at once, at most and at first.
        var window = 256
        var firstWindow = 8
        /// The most content of the same, in bytes.
        var windowBytes = 4 << 20
    }

    struct Key: Hashable, Sendable {
        let destination: String
        let incarnation: UInt32
    }

    private struct Entry {
        let envelope: Envelope
        /// When it was last sent; 0 is never.
        var last: UInt64 = 0
    }

    private struct Stream {
        var entries: Deque<Entry> = []
        var bytes = 0
        /// The last sequence that was kept.
        var last: UInt64 = 0
        /// Those before were sent.
        var place = 0
        /// Those before were sent earlier: up to here it is a repetition.
        var sentBefore = 0
        var window = 0
        var timeout: UInt64 = 0
        /// When what was sent is overdue; nil while nothing is out.
        var deadline: UInt64?
        /// When something was last acknowledged, or nothing was kept.
        var progressed: UInt64 = 0
    }

    let limits: Limits
    private var streams: [Key: Stream] = [:]
    private var random: UInt64
    /// Envelopes that are kept.
    private(set) var count = 0
    /// Their content in bytes.
    private(set) var bytes = 0

    /// Nothing is kept yet; `seed` is of the differences between waits.
    init(limits: Limits = Limits(), seed: UInt64 = 0) {
        self.limits = limits
        random = seed
    }

    var isEmpty: Bool { count == 0 }

    /// Whether one more of that size may be kept.
    func hasRoom(for size: Int) -> Bool {
        count == 0 || count < limits.messages && bytes + size <= limits.bytes
    }

    /// Everything that is kept, by destination, incarnation and sequence.
    var all: [Envelope] {
        streams.values.flatMap { $0.entries.map(\.envelope) }.sorted { $0.identity < $1.identity }
    }

    /// Keeps an envelope, which comes last in its stream.
    mutating func add(_ envelope: Envelope, at now: UInt64) {
        let key = Key(destination: envelope.destination.name, incarnation: envelope.incarnation)
        let size = envelope.contentSize
        if streams[key] == nil {
            streams[key] = Stream(timeout: limits.timeout.nanoseconds, progressed: now)
        }
        streams[key]?.entries.append(Entry(envelope: envelope))
        streams[key]?.bytes += size
        streams[key]?.last = envelope.sequence
        count += 1
        bytes += size
    }

    /// The streams of which something may be sent now, apart from what the transport says.
    var open: [Key] { streams.filter { isOpen($0.value) }.map(\.key) }

    private func isOpen(_ stream: Stream) -> Bool { stream.place < openEnd(stream) }

    /// Those before may be sent now.
    private func openEnd(_ stream: Stream) -> Int {
        guard stream.place < stream.sentBefore else { return stream.entries.count }
        let average = max(1, stream.bytes / max(1, stream.entries.count))
        return min(
            stream.sentBefore, max(1, min(stream.window, limits.windowBytes / average)))
    }

    /// Whether what is next of a stream was sent before.
    func isRepeating(_ key: Key) -> Bool {
        streams[key].map { $0.place < $0.sentBefore } ?? false
    }

    /// What is to be sent next to a destination in one message: all for the first time, or none.
    ///
    /// - Parameters:
    ///   - key: The stream.
    ///   - messages: The most envelopes.
    ///   - bytes: The most bytes of the message; one envelope is there whatever it takes.
    /// - Returns: Envelopes that follow each other; nil where none may be sent.
    func run(_ key: Key, messages: Int, bytes: Int) -> (envelopes: [Envelope], isFirst: Bool)? {
        guard let stream = streams[key], isOpen(stream) else { return nil }
        let isFirst = stream.entries[stream.place].last == 0
        var envelopes: [Envelope] = []
        var left = bytes
        for entry in stream.entries[stream.place..<min(openEnd(stream), stream.place + messages)] {
            left -= Batch.Draft.byteCount(of: entry.envelope)
            if let last = envelopes.last {
                guard left >= 0, (entry.last == 0) == isFirst,
                    last.sequence + 1 == entry.envelope.sequence
                else { break }
            }
            envelopes.append(entry.envelope)
        }
        return (envelopes, isFirst)
    }

    /// What is to be sent next to a destination, and whether for the first time.
    func next(_ key: Key) -> (envelope: Envelope, isFirst: Bool)? {
        guard let stream = streams[key], isOpen(stream) else { return nil }
        let entry = stream.entries[stream.place]
        return (entry.envelope, entry.last == 0)
    }

    /// What `next` or `run` said was sent.
    mutating func sent(_ key: Key, count: Int = 1, at now: UInt64) {
        guard var stream = streams.removeValue(forKey: key) else { return }
        for place in stream.place..<stream.place + count { stream.entries[place].last = now }
        stream.place += count
        if stream.deadline == nil { stream.deadline = now + jittered(stream.timeout) }
        streams[key] = stream
    }

    /// What `next` said can never be sent.
    mutating func discard(_ key: Key) {
        guard var stream = streams.removeValue(forKey: key) else { return }
        let size = stream.entries.remove(at: stream.place).envelope.contentSize
        stream.bytes -= size
        count -= 1
        bytes -= size
        if stream.place < stream.sentBefore { stream.sentBefore -= 1 }
        if !stream.entries.isEmpty { streams[key] = stream }
    }

    /// An acknowledgement came.
    ///
    /// - Returns: How many are no longer kept, and which of them their receiver does not have; nil
    ///   where it acknowledges what was never sent.
    mutating func acknowledge(
        _ acknowledgement: Acknowledgement, at now: UInt64
    ) -> (count: Int, abandoned: [Identity])? {
        let key = Key(
            destination: acknowledgement.flow.destination.name,
            incarnation: acknowledgement.incarnation)
        guard var stream = streams.removeValue(forKey: key) else { return (0, []) }
        defer { if !stream.entries.isEmpty { streams[key] = stream } }
        guard acknowledgement.through <= stream.last else { return nil }
        var removed = 0
        var abandoned: [Identity] = []
        while let first = stream.entries.first?.envelope,
            first.sequence <= acknowledgement.through
        {
            stream.entries.removeFirst()
            removed += 1
            stream.bytes -= first.contentSize
            bytes -= first.contentSize
            if acknowledgement.except.contains(where: { $0.contains(first.sequence) }) {
                abandoned.append(first.identity)
            }
        }
        guard removed > 0 else { return (0, []) }
        count -= removed
        stream.place = max(0, stream.place - removed)
        stream.sentBefore = max(0, stream.sentBefore - removed)
        stream.window = min(limits.window, max(limits.firstWindow, stream.window * 2))
        stream.timeout = limits.timeout.nanoseconds
        stream.progressed = now
        stream.deadline = stream.place > 0 ? now + jittered(stream.timeout) : nil
        return (removed, abandoned)
    }

    /// What its receiver misses, as far as it was not sent just now.
    ///
    /// - Returns: What to send again at once.
    mutating func missing(
        _ acknowledgement: Acknowledgement, at now: UInt64
    ) -> [Envelope] {
        let key = Key(
            destination: acknowledgement.flow.destination.name,
            incarnation: acknowledgement.incarnation)
        guard !acknowledgement.missing.isEmpty, var stream = streams.removeValue(forKey: key)
        else { return [] }
        defer { streams[key] = stream }
        var found: [Envelope] = []
        for range in acknowledgement.missing {
            var position = Self.position(of: range.lowerBound, in: stream.entries)
            while position < stream.place, found.count < limits.window {
                let entry = stream.entries[position]
                guard entry.envelope.sequence <= range.upperBound else { break }
                if entry.last + Self.justNow <= now {
                    stream.entries[position].last = now
                    found.append(entry.envelope)
                }
                position += 1
            }
        }
        return found
    }

    /// What was sent within this time is on its way.
    private static let justNow: UInt64 = 100_000_000

    private static func position(of sequence: UInt64, in entries: Deque<Entry>) -> Int {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].envelope.sequence < sequence {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }

    /// Time passed: what is overdue is to be sent again.
    ///
    /// - Returns: What was given up, since nothing of its stream was acknowledged for too long.
    mutating func expire(at now: UInt64) -> [Envelope] {
        var given: [Envelope] = []
        for (key, stream) in streams {
            if stream.progressed + limits.giveUp.nanoseconds <= now {
                given += stream.entries.map(\.envelope)
                count -= stream.entries.count
                bytes -= stream.bytes
                streams[key] = nil
            } else if let deadline = stream.deadline, deadline <= now {
                var stream = stream
                stream.timeout = min(stream.timeout * 2, limits.timeoutMax.nanoseconds)
                goBack(&stream)
                stream.deadline = now + jittered(stream.timeout)
                streams[key] = stream
            }
        }
        return given
    }

    /// The way was broken and is whole again: everything is to be sent again, now.
    mutating func restart(at now: UInt64) {
        for key in streams.keys {
            guard var stream = streams[key] else { continue }
            stream.timeout = limits.timeout.nanoseconds
            goBack(&stream)
            stream.deadline = nil
            streams[key] = stream
        }
    }

    private func goBack(_ stream: inout Stream) {
        stream.sentBefore = max(stream.sentBefore, stream.place)
        stream.place = 0
        stream.window = limits.firstWindow
    }

    /// When `expire` next has something to do.
    var deadline: UInt64? {
        streams.values.map { stream in
            min(stream.deadline ?? .max, stream.progressed + limits.giveUp.nanoseconds)
        }.min()
    }

    /// Between three and five fourths of the time.
    private mutating func jittered(_ time: UInt64) -> UInt64 {
        random &+= 0x9E37_79B9_7F4A_7C15
        var mixed = random
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        mixed ^= mixed >> 31
        return time - time / 4 + mixed % max(1, time / 2)
    }
}
