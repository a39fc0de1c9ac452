internal import Control
internal import JSON
internal import Messaging
internal import Wire

/// A pause that the orchestrator asked for.
struct Pause {
    /// What to answer once everything sent before has been passed on; nil when that is done.
    var command: Command?
    let end: UInt64
}

/// While a name changes hands at a proxy that holds nothing for anybody, nobody may send to it.
///
/// The agent goes on to take in what comes, so that nothing stands in a proxy that would drop it;
/// what it takes in waits, and its loads with it.
extension Runtime {
    /// The longest until everything sent before the pause must have been passed on.
    private static let fenceTimeout: UInt64 = 2_500_000_000
    private static let lookAgain: Duration = .milliseconds(20)

    func beginPause(_ command: Command) {
        guard !isDrained else { return refuse(command, "the agent is drained") }
        if let earlier = pause?.command { refuse(earlier, "another pause was asked for") }
        do throws(MessagingError) {
            try client.beginFence()
            pause = Pause(command: command, end: environment.clock.now + Self.fenceTimeout)
        } catch {
            refuse(command, error.description)
        }
    }

    func endPause() {
        if let command = pause?.command { refuse(command, "the pause was ended") }
        pause = nil
    }

    /// One turn of a pause: takes in, hands out nothing.
    func keepPaused() throws {
        try client.takeIn()
        if let command = pause?.command {
            if client.isFencePassed {
                pause?.command = nil
                answer(command, ["paused": true])
            } else if environment.clock.now >= pause?.end ?? 0 {
                pause = nil
                return refuse(command, "what it has sent was not passed on within 2.5 s")
            }
        }
        try rest(Self.lookAgain, also: client.inboundItems)
    }
}
