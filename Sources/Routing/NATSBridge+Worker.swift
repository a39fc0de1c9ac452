internal import Chunking
internal import DequeModule
internal import NATS
internal import Synchronization
internal import Threads
internal import Wire

/// What the bridge's own thread does: it connects, subscribes, publishes, and serves what the loop
/// asked for.
extension NATSBridge {
    /// What a drain is left of it that waited for a content to become whole.
    private static let drainTime = Duration.milliseconds(500)
    private static let connectPause: Int32 = 100
    /// Publications between two looks at everything else.
    private static let publicationsMax = 64

    func run() {
        guard let connection = connect() else { return }
        var readers: [String: NATSReader] = [:]
        var behind: [Behind] = []
        setConnected(true)
        started.give(true)
        var reconnects = 0
        while !isStopping {
            setConnected(connection.isConnected)
            for (tag, subjects) in state.withLock({ $0.wanted }) where readers[tag] == nil {
                _ = subscribe(on: connection, tag: tag, subjects, &readers)
            }
            let isPutOff = serveRequests(on: connection, &readers, &behind)
            tellCaughtUp(&behind)
            if publishSome(on: connection) { continue }
            if connection.reconnects > reconnects {
                reconnects = connection.reconnects
                inbox.post(.blind(reason: "the connection to NATS was lost and restored"))
            }
            wakeUp.wait(milliseconds: behind.isEmpty && !isPutOff ? 50 : 1)
        }
        for reader in readers.values { reader.stop() }
        if connection.isConnected { try? connection.flush(timeout: .milliseconds(500)) }
        connection.close()
        for reader in readers.values { reader.join() }
    }

    private var isStopping: Bool { state.withLock { $0.isStopping } }

    private func connect() -> Connection? {
        var isFirst = true
        while !isStopping {
            var options = ConnectionOptions(name: settings.name, noEcho: true)
            options.timeout = .seconds(1)
            if let connection = try? Connection(to: settings.url, options: options) {
                return connection
            }
            if isFirst { inbox.post(.connected(false)) }
            isFirst = false
            expireRequests()
            wakeUp.wait(milliseconds: Self.connectPause)
        }
        return nil
    }

    private func setConnected(_ isConnected: Bool) {
        let changed = state.withLock { state in
            defer { state.isConnected = isConnected }
            return state.isConnected != isConnected
        }
        if changed { inbox.post(.connected(isConnected)) }
    }

    private func expireRequests() {
        let now = ContinuousClock.now
        let expired = state.withLock { state in
            let expired = state.waiting.filter { $0.end <= now }
            state.waiting.removeAll { $0.end <= now }
            return expired
        }
        for waiting in expired { inbox.post(.done(token: waiting.token, false)) }
    }

    /// Readers with messages that somebody waits for.
    private struct Behind {
        let readers: [(reader: NATSReader, arrived: [UInt64])]
        let waiting: Waiting

        init(_ readers: some Sequence<NATSReader>, _ waiting: Waiting) {
            self.readers = readers.map { ($0, $0.arrived) }
            self.waiting = waiting
        }

        var isDone: Bool { readers.allSatisfy { $0.reader.hasPosted($0.arrived) } }
    }

    private func tellCaughtUp(_ behind: inout [Behind]) {
        behind.removeAll { entry in
            let isDone = entry.isDone
            guard isDone || entry.waiting.end <= .now else { return false }
            inbox.post(.done(token: entry.waiting.token, isDone))
            return true
        }
    }

    /// Serves what was asked for.
    ///
    /// - Returns: Whether something is put off.
    private func serveRequests(
        on connection: Connection, _ readers: inout [String: NATSReader],
        _ behind: inout [Behind]
    ) -> Bool {
        var putOff: [Waiting] = []
        while let waiting = nextRequest() {
            let isDone: Bool
            switch waiting.request {
            case .subscribe(let tag, let subjects):
                // A drain that was put off would end what is wanted again.
                for index in putOff.indices.reversed() where putOff[index].request.drains(tag) {
                    inbox.post(.done(token: putOff.remove(at: index).token, false))
                }
                isDone = subscribe(on: connection, tag: tag, subjects, &readers)
            case .drain(let tag)
            where readers[tag]?.isAssembling == true
                && waiting.end - Self.drainTime > .now:
                // Its rest would go to nobody.
                putOff.append(waiting)
                continue
            case .drain(let tag):
                // The reader posts for itself: what it fetches before comes before.
                guard let reader = readers.removeValue(forKey: tag) else {
                    inbox.post(.done(token: waiting.token, true))
                    continue
                }
                reader.drain(token: waiting.token)
                continue
            case .catchUp(let tag):
                // The answer to the flush comes behind all that the server sent before it.
                isDone = flush(connection)
                if isDone, let reader = readers[tag] {
                    behind.append(Behind([reader], waiting))
                    continue
                }
            case .catchUpAll:
                isDone = flush(connection)
                if isDone {
                    behind.append(Behind(readers.values, waiting))
                    continue
                }
            case .flush:
                isDone = flush(connection)
            }
            inbox.post(.done(token: waiting.token, isDone))
        }
        state.withLock { $0.waiting += putOff }
        expireRequests()
        return !putOff.isEmpty
    }

    /// The first request that can be served now.
    private func nextRequest() -> Waiting? {
        state.withLock { state in
            // None is being published now: that is done by the thread that asks.
            let next = state.queue.firstNumber ?? .max
            let index = state.waiting.firstIndex { waiting in
                switch waiting.request {
                case .flush(let after), .catchUpAll(let after): return after < next
                case .subscribe, .drain, .catchUp: return true
                }
            }
            return index.map { state.waiting.remove(at: $0) }
        }
    }

    private func subscribe(
        on connection: Connection, tag: String, _ subjects: [String],
        _ readers: inout [String: NATSReader]
    ) -> Bool {
        if readers[tag] == nil {
            do {
                readers[tag] = try NATSReader(
                    subjects.map { subject throws(NATSError) in
                        try connection.subscribe(
                            to: subject, pendingMessagesMax: settings.pendingMessagesMax)
                    }, tag: tag, inbox: inbox)
            } catch {
                inbox.post(.malformed(tag: tag, reason: "could not subscribe: \(error)"))
                return false
            }
        }
        return flush(connection)
    }

    /// Whether the server answers; asked again now and then, since an answer is lost with its connection.
    private func flush(_ connection: Connection) -> Bool {
        let end = ContinuousClock.now + Self.requestTimeout
        var lost = 0
        while ContinuousClock.now < end, !isStopping {
            if connection.isConnected {
                if (try? connection.flush(timeout: Self.flushSlice)) != nil { return true }
            } else if lost == 0 || lost > Self.lostMax {
                // Who is not there when he is asked is not waited for, nor who does not come back soon.
                return false
            } else {
                wakeUp.wait(milliseconds: 10)
            }
            lost += 1
        }
        return false
    }

    private static let flushSlice = Duration.milliseconds(250)
    private static let lostMax = 50

    /// Publishes what waits longest; false when nothing waits or NATS is away.
    private func publishSome(on connection: Connection) -> Bool {
        guard connection.isConnected else { return false }
        for count in 0..<Self.publicationsMax where !publishNext(on: connection) {
            return count > 0
        }
        return true
    }

    private func publishNext(on connection: Connection) -> Bool {
        // One at a time: what is not taken out yet can still be taken back.
        let first = state.withLock { $0.queue.popFirst() }
        guard let first else { return false }
        let next = first.publication
        do throws(NATSError) {
            if let plain = next.plain {
                try connection.publish(next.subject, content: plain)
            } else {
                var lines: [UInt8] = []
                lines.reserveCapacity(512)
                // A batch that is too large goes one by one instead.
                try connection.publish(
                    next.envelope, on: next.subject, lines: &lines,
                    isChunking: settings.isChunking && next.envelope.kind != .batch)
            }
            if next.isRecorded { inbox.post(.published(next)) }
        } catch {
            guard error.code == .oversize || error.code == .invalidSubject else {
                state.withLock { $0.queue.putBack(first) }
                return false
            }
            inbox.post(.oversize(next))
        }
        return true
    }
}
