internal import Messaging
internal import Wire

extension Runtime {
    func sendDue() throws(MessagingError) {
        for load in loads {
            let end = environment.clock.now + Self.turn
            for _ in 0..<Self.messagesPerTurn {
                let now = environment.clock.now
                guard !load.schedule.isFinished(at: now), load.nextDue <= now,
                    load.body.isReady, now < end, outbox.isConnected, client.hasOutboxRoom
                else { break }
                try send(load)
                // One attempt a turn, until there is room.
                if outbox.isHeldUp { break }
            }
        }
    }

    private func send(_ load: ActiveLoad) throws(MessagingError) {
        outbox.due = load.nextDue
        if let body = load.body as? any SharedLoad {
            try send(body, of: load)
            return load.schedule.advance()
        }
        for destination in load.body.destinations {
            do throws(MessagingError) {
                try load.body.send(load.schedule.index, to: destination, outbox)
                load.sent += 1
            } catch {
                load.failed += 1
                load.failure = load.failure ?? error.description
                try forgive(error)
            }
        }
        load.schedule.advance()
    }

    private func send(_ body: any SharedLoad, of load: ActiveLoad) throws(MessagingError) {
        do throws(MessagingError) {
            let sent = try body.send(load.schedule.index, to: body.destinations, outbox)
            load.sent += UInt64(sent)
            if sent < body.destinations.count {
                load.failed += UInt64(body.destinations.count - sent)
                load.failure = load.failure ?? outbox.lastFailure?.description
            }
        } catch {
            load.failed += UInt64(body.destinations.count)
            load.failure = load.failure ?? error.description
            try forgive(error)
        }
    }

    /// Goes on where only one envelope was concerned, which the history names.
    func forgive(_ error: MessagingError) throws(MessagingError) {
        if error.isFatal { throw error }
        outbox.logFailure(error)
    }

    func finishLoads() {
        let now = environment.clock.now
        guard !agent.isBusy else { return }
        for load in loads where load.schedule.isFinished(at: now) { report(load, "finished") }
        loads.removeAll { $0.schedule.isFinished(at: now) }
    }
}

/// A load that is being sent.
final class ActiveLoad {
    /// The command to answer at the end.
    let command: UInt64
    let body: any Load
    var schedule: LoadSchedule
    var sent: UInt64 = 0
    var failed: UInt64 = 0
    /// Why the first of those failed.
    var failure: String?

    init(command: UInt64, body: any Load, schedule: LoadSchedule) {
        self.command = command
        self.body = body
        self.schedule = schedule
    }

    /// When the next message is due.
    var nextDue: UInt64 { body.offset.map { schedule.began &+ $0 } ?? schedule.nextDue }

    /// When time alone gives something to do: a message, or the end.
    var deadline: UInt64 { body.isReady ? min(nextDue, schedule.end) : schedule.end }
}
