/// How long a subscriber without room may hold up the others.
///
/// libzmq says that some subscriber has no room, never which. The first time, everybody waits for
/// it; once its time is up it loses, and does not get the time again until it has read: otherwise
/// each message would cost the others the whole timeout.
struct StallPolicy {
    private var since: ContinuousClock.Instant?
    private var lossySince: ContinuousClock.Instant?

    /// Whether somebody has no room, or lost something not long ago.
    var isSeen: Bool { since != nil || lossySince != nil }

    /// Whether the subscriber that has no room has used up its time.
    mutating func isOver(timeout: Duration, now: ContinuousClock.Instant) -> Bool {
        if lossySince != nil { return true }
        let start = since ?? now
        since = start
        guard now - start >= timeout else { return false }
        lossySince = now
        since = nil
        return true
    }

    /// The same, where the one that has no room is ended instead: everybody waits its time once more
    /// for the next that stalls, but not for one that has long taken nothing.
    ///
    /// - Parameters:
    ///   - timeout: The stall timeout.
    ///   - isKnown: Whether some connection has taken nothing for that long.
    ///   - now: The present time.
    /// - Returns: Whether somebody's time is up.
    mutating func isOver(
        timeout: Duration, isKnown: Bool, now: ContinuousClock.Instant
    ) -> Bool {
        let start = since ?? now
        since = start
        // Long enough for libzmq to end the connection that was cut last.
        let isNext = isKnown && lossySince.map { now - $0 < timeout + Self.settling } ?? false
        guard now - start >= (isNext ? min(timeout, Self.settling) : timeout) else { return false }
        lossySince = now
        since = now
        return true
    }

    private static let settling = Duration.milliseconds(200)

    /// Everybody had room.
    ///
    /// Only after a while does that mean that the stalled one reads again: it may not be
    /// subscribed to what was sent.
    mutating func hadRoom(timeout: Duration, now: ContinuousClock.Instant) {
        since = nil
        if let lossySince, now - lossySince >= timeout { self.lossySince = nil }
    }

    /// A message was sent past the stalled subscriber.
    mutating func lost(now: ContinuousClock.Instant) { lossySince = now }
}
