internal import Chunking
internal import Recording

/// When what an agent publishes on NATS leaves its process.
public enum NATSSending: String, CaseIterable, Hashable, Sendable {
    /// With each envelope: one system call for each, and no delay.
    case atOnce = "at_once"
    /// Up to a millisecond later, together with what else was published by then.
    ///
    /// What waits is flushed before a drain is confirmed, and when the agent ends.
    case buffered
}

/// Planted faults of chunks: the Nth of all that are sent.
struct ChunkDefects {
    private let defects: Defects?
    private var count = 0

    init(_ defects: Defects? = nil, lane: Lane = .primary) {
        self.defects = defects?.lane == lane ? defects : nil
    }

    mutating func next() -> ChunkDefect? {
        guard let defects else { return nil }
        count += 1
        if let every = defects.loseChunk, count.isMultiple(of: every) { return .lose }
        if let every = defects.alterChunk, count.isMultiple(of: every) { return .alter }
        return nil
    }
}
