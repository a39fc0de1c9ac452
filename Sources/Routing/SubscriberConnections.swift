internal import CLinux
internal import Glibc

/// The connections of a topic proxy's subscribers, by descriptor, and whether they take anything.
///
/// libzmq says that some subscriber has no room, and never which. The kernel does: of the one that
/// does not read, there is always the same number of bytes that were sent and not taken.
struct SubscriberConnections {
    private struct Connection {
        var unsent: Int32 = 0
        /// Since when that has not changed.
        var since: ContinuousClock.Instant
        /// How often it was found changed since `forgetMoves`.
        var moves = 0
    }

    private var connections: [Int32: Connection] = [:]
    private var nextLook = ContinuousClock.now
    private static let interval = Duration.milliseconds(20)

    var count: Int { connections.count }

    mutating func accepted(_ descriptor: Int32, now: ContinuousClock.Instant) {
        connections[descriptor] = Connection(since: now)
    }

    mutating func ended(_ descriptor: Int32) { connections[descriptor] = nil }

    /// Looks at every connection, unless that was done a moment ago.
    mutating func look(
        now: ContinuousClock.Instant, unsent: (Int32) -> Int32 = { synmesh_unsent($0) }
    ) {
        guard now >= nextLook else { return }
        nextLook = now + Self.interval
        for (descriptor, known) in connections {
            let count = unsent(descriptor)
            guard count != known.unsent || count <= 0 else { continue }
            connections[descriptor] = Connection(
                unsent: max(0, count), since: now, moves: known.moves + (count > 0 ? 1 : 1_000))
        }
    }

    /// What moved before does not count: a stall begins.
    mutating func forgetMoves() {
        for descriptor in connections.keys { connections[descriptor]?.moves = 0 }
    }

    /// Whether somebody has taken nothing for so long.
    func hasStuck(for time: Duration, now: ContinuousClock.Instant) -> Bool {
        connections.values.contains { $0.unsent > 0 && now - $0.since >= time }
    }

    /// Who holds up the others: who has taken least often anything of what waits for it and, of
    /// those, has most left to take.
    ///
    /// Whoever's bytes were all sent, and are not acknowledged yet, may have read them: it is the
    /// slowest only where that is so for everybody, as when one cannot be reached any more.
    func slowest(unsendable: (Int32) -> Int32 = { synmesh_unsendable($0) }) -> Int32? {
        let waiting = connections.filter { $0.value.unsent > 0 }
        let full = waiting.filter { unsendable($0.key) > 0 }
        return (full.isEmpty ? waiting : full)
            .min { ($0.value.moves, $1.value.unsent) < ($1.value.moves, $0.value.unsent) }?.key
    }

    /// Ends a connection from this side; libzmq finds it ended, and the subscriber does when it has
    /// read what is underway.
    mutating func cut(_ descriptor: Int32) {
        connections[descriptor] = nil
        _ = shutdown(descriptor, Int32(SHUT_RDWR))
    }
}

/// Subscribers that were cut off, until they subscribe again.
struct AbsentSubscribers {
    struct Absent {
        /// The agent, where a subscription of its own says so.
        var name = ""
        var topics: [[UInt8]] = []
        var lost = 0
    }

    private(set) var absent: [Absent] = []
    /// Whether the subscriptions that end now are those of the one that was cut off last.
    private(set) var isGathering = false
    /// More than this are not told apart.
    private static let absentMax = 1_000

    var isEmpty: Bool { absent.isEmpty }

    mutating func begin() {
        isGathering = true
        if absent.count >= Self.absentMax { absent.removeFirst() }
        absent.append(Absent())
    }

    mutating func endGathering() { isGathering = false }

    /// A subscription has ended.
    mutating func unsubscribed(_ topic: ArraySlice<UInt8>) {
        guard isGathering, !absent.isEmpty else { return }
        let last = absent.count - 1
        if let name = Self.agent(in: topic) { absent[last].name = name }
        guard topic.first != UInt8(ascii: "_") else { return }
        absent[last].topics.append(Array(topic))
    }

    /// A subscription has come; who is back with it, if somebody is.
    mutating func subscribed(_ topic: ArraySlice<UInt8>) -> Absent? {
        let name = Self.agent(in: topic)
        let index = absent.firstIndex { absent in
            absent.name.isEmpty
                ? absent.topics.contains { $0.elementsEqual(topic) } : absent.name == name
        }
        return index.map { absent.remove(at: $0) }
    }

    /// Counts a message that was sent without them; who lost it.
    mutating func missed(_ topic: [UInt8]) -> Int {
        var count = 0
        for index in absent.indices
        where absent[index].topics.contains(where: { topic.starts(with: $0) }) {
            absent[index].lost += 1
            count += 1
        }
        return count
    }

    private static func agent(in topic: ArraySlice<UInt8>) -> String? {
        let prefix = Array("_marker.".utf8)
        guard topic.starts(with: prefix) else { return nil }
        return String(decoding: topic.dropFirst(prefix.count).prefix(255), as: UTF8.self)
    }
}
