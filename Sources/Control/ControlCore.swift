internal import JSON
internal import Synchronization
internal import Threads
internal import ZeroMQ

/// What the server's thread and the waiting tasks share.
final class ControlCore: Sendable {
    private typealias Reply<Success> = CheckedContinuation<Result<Success, ControlError>, Never>

    private struct PendingCommand {
        let child: ChildID
        let name: String
        let reply: Reply<Value>
        var end: ContinuousClock.Instant
        /// Its process has ended; what it said before may still be on its way.
        var isOrphaned = false
    }

    /// How long the last words of a process that has ended may take.
    private static let lastWords = Duration.milliseconds(200)

    private struct PendingReady {
        let child: ChildID
        let reply: Reply<Ready>
        let end: ContinuousClock.Instant
    }

    // A waiter is resumed by whoever takes it out of these tables, under the lock; nobody else can.
    private struct State {
        var isClosed = false
        var nextID: UInt64 = 1
        var outgoing: [(child: ChildID, command: Command)] = []
        var commands: [UInt64: PendingCommand] = [:]
        var waiting: [UInt64: PendingReady] = [:]
        // Cancelled between being numbered and being registered.
        var cancelled: Set<UInt64> = []
        var ready: [ChildID: Ready] = [:]
        var ended: Set<ChildID> = []
        var malformed = 0
    }

    private let state = Mutex(State())
    private let wakeUp: WakeUp
    private let events: AsyncStream<ControlEvent>.Continuation

    init(wakeUp: WakeUp, events: AsyncStream<ControlEvent>.Continuation) {
        self.wakeUp = wakeUp
        self.events = events
    }

    var malformed: Int { state.withLock { $0.malformed } }

    // MARK: Tasks

    private func nextID() -> UInt64 {
        state.withLock { state in
            defer { state.nextID += 1 }
            return state.nextID
        }
    }

    func waitReady(_ child: ChildID, timeout: Duration) async throws(ControlError) -> Ready {
        let id = nextID()
        let end = ContinuousClock.now + timeout
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (reply: Reply<Ready>) in
                let now: Result<Ready, ControlError>? = state.withLock { state in
                    if state.cancelled.remove(id) != nil { return .failure(.cancelled) }
                    if state.isClosed { return .failure(.closed) }
                    if let ready = state.ready[child] { return .success(ready) }
                    if state.ended.contains(child) {
                        return .failure(.ended(child, waitingFor: "ready"))
                    }
                    state.waiting[id] = PendingReady(child: child, reply: reply, end: end)
                    return nil
                }
                if let now { reply.resume(returning: now) } else { wakeUp.signal() }
            }
        } onCancel: {
            cancel(id)
        }
        return try result.get()
    }

    func command(
        _ name: String, to child: ChildID, arguments: Value, timeout: Duration
    ) async throws(ControlError) -> Value {
        let id = nextID()
        let end = ContinuousClock.now + timeout
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { (reply: Reply<Value>) in
                let now: ControlError? = state.withLock { state in
                    if state.cancelled.remove(id) != nil { return .cancelled }
                    if state.isClosed { return .closed }
                    if state.ended.contains(child) { return .ended(child, waitingFor: name) }
                    state.commands[id] = PendingCommand(
                        child: child, name: name, reply: reply, end: end)
                    state.outgoing.append(
                        (child, Command(id: id, name: name, arguments: arguments)))
                    return nil
                }
                if let now {
                    reply.resume(returning: .failure(now))
                } else {
                    wakeUp.signal()
                }
            }
        } onCancel: {
            cancel(id)
        }
        return try result.get()
    }

    private func cancel(_ id: UInt64) {
        let (command, ready) = state.withLock { state in
            let command = state.commands.removeValue(forKey: id)
            let ready = state.waiting.removeValue(forKey: id)
            // A cancellation that came last finds nothing to cancel and leaves its number here: one
            // word for each such race, in a table that `close` empties.
            if command == nil, ready == nil { state.cancelled.insert(id) }
            return (command, ready)
        }
        command?.reply.resume(returning: .failure(.cancelled))
        ready?.reply.resume(returning: .failure(.cancelled))
    }

    func forget(_ child: ChildID) {
        let end = ContinuousClock.now + Self.lastWords
        let waiting = state.withLock { state in
            state.ended.insert(child)
            state.ready[child] = nil
            for (id, pending) in state.commands where pending.child == child {
                state.commands[id]?.end = min(pending.end, end)
                state.commands[id]?.isOrphaned = true
            }
            let waiting = state.waiting.filter { $0.value.child == child }
            for id in waiting.keys { state.waiting[id] = nil }
            return waiting.values
        }
        for pending in waiting {
            pending.reply.resume(returning: .failure(.ended(child, waitingFor: "ready")))
        }
        wakeUp.signal()
    }

    func close() {
        let (commands, waiting) = state.withLock { state in
            state.isClosed = true
            state.cancelled = []
            return Self.take(from: &state) { _ in true }
        }
        for pending in commands { pending.reply.resume(returning: .failure(.closed)) }
        for pending in waiting { pending.reply.resume(returning: .failure(.closed)) }
        events.finish()
        wakeUp.signal()
    }

    private static func take(
        from state: inout State, where matches: (ChildID) -> Bool
    ) -> ([PendingCommand], [PendingReady]) {
        let commands = state.commands.filter { matches($0.value.child) }
        let waiting = state.waiting.filter { matches($0.value.child) }
        for id in commands.keys { state.commands[id] = nil }
        for id in waiting.keys { state.waiting[id] = nil }
        return (Array(commands.values), Array(waiting.values))
    }

    // MARK: Thread

    func run(
        bindingTo endpoint: String, in context: Context,
        start: Handoff<Result<String, ControlError>>
    ) {
        do throws(ZeroMQError) {
            var socket = try Socket(
                .router, in: context,
                options: SocketOptions(
                    linger: .milliseconds(200), routerMandatory: true, routerHandover: true))
            try socket.bind(to: endpoint)
            start.give(.success(socket.lastEndpoint))
            while !state.withLock({ $0.isClosed }) {
                var items = [socket.pollItem(), .fileDescriptor(wakeUp.descriptor)]
                _ = try poll(&items, timeout: untilNextEnd())
                wakeUp.take()
                sendOutgoing(on: &socket)
                while let frames = try socket.receive() { handle(frames) }
                expire()
            }
        } catch {
            // Before the bind this is the answer that `init` waits for; later giving it is idle.
            start.give(.failure(.socket(error)))
            close()
        }
    }

    private func untilNextEnd() -> Duration {
        let end = state.withLock { state in
            let ends = state.commands.values.map(\.end) + state.waiting.values.map(\.end)
            return ends.min()
        }
        guard let end else { return .seconds(1) }
        return min(max(end - .now, .milliseconds(1)), .seconds(1))
    }

    private func sendOutgoing(on socket: inout Socket) {
        let outgoing = state.withLock { state in
            defer { state.outgoing = [] }
            return state.outgoing.filter { state.commands[$0.command.id] != nil }
        }
        for (child, command) in outgoing {
            let result: Result<SendResult, ZeroMQError>
            do throws(ZeroMQError) {
                result = .success(
                    try socket.send([
                        Array(child.routingID.utf8), ControlCodec.encode(command),
                    ]))
            } catch {
                result = .failure(error)
            }
            switch result {
            case .success(.sent): break
            case .success(.wouldBlock): finish(command.id, .failure(.full("\(child)")))
            case .success(.unreachable): finish(command.id, .failure(.unreachable(child)))
            case .failure(let error): finish(command.id, .failure(.socket(error)))
            }
        }
    }

    @discardableResult
    private func finish(
        _ id: UInt64, from child: ChildID? = nil, _ result: Result<Value, ControlError>
    ) -> Bool {
        let pending = state.withLock { state -> PendingCommand? in
            guard let pending = state.commands[id], child == nil || pending.child == child
            else { return nil }
            state.commands[id] = nil
            return pending
        }
        pending?.reply.resume(returning: result)
        return pending != nil
    }

    private func handle(_ frames: [[UInt8]]) {
        let sender = String(decoding: frames[0], as: UTF8.self)
        do throws(ControlError) {
            guard let child = ChildID(routingID: sender) else {
                throw .malformed("the sender is no child")
            }
            guard frames.count == 2 else { throw .malformed("\(frames.count - 1) frames") }
            try handle(try ControlCodec.childMessage(frames[1]), from: child)
        } catch {
            state.withLock { $0.malformed += 1 }
            events.yield(
                .malformed(sender: String(sender.prefix(80)), reason: error.description))
        }
    }

    private func handle(_ message: ChildMessage, from child: ChildID) throws(ControlError) {
        switch message {
        case .ready(let name, let role, let incarnation, let pid, let endpoints):
            guard ChildID(role: role, name: name, incarnation: incarnation) == child else {
                throw .malformed("\(child) says that it is \(role) \(name) \(incarnation)")
            }
            let ready = Ready(child: child, pid: pid, endpoints: endpoints)
            let waiting = state.withLock { state in
                if !state.ended.contains(child) { state.ready[child] = ready }
                let waiting = state.waiting.filter { $0.value.child == child }
                for id in waiting.keys { state.waiting[id] = nil }
                return waiting.values
            }
            for pending in waiting { pending.reply.resume(returning: .success(ready)) }
            events.yield(.ready(ready))
        case .answer(let id, let result):
            let answer = result.mapError { refusal in
                ControlError.refused(child, command: commandName(id), reason: refusal.reason)
            }
            if !finish(id, from: child, answer) { events.yield(.late(child, id: id)) }
        case .event(let name, let fields):
            events.yield(.event(child, name: name, fields: fields))
        }
    }

    private func commandName(_ id: UInt64) -> String {
        state.withLock { $0.commands[id]?.name ?? "?" }
    }

    private func expire() {
        let now = ContinuousClock.now
        let (commands, waiting) = state.withLock { state in
            let commands = state.commands.filter { $0.value.end <= now }
            let waiting = state.waiting.filter { $0.value.end <= now }
            for id in commands.keys { state.commands[id] = nil }
            for id in waiting.keys { state.waiting[id] = nil }
            return (commands.values, waiting.values)
        }
        for pending in commands {
            let purpose = "command '\(pending.name)'"
            let error: ControlError =
                pending.isOrphaned
                ? .ended(pending.child, waitingFor: purpose)
                : .timedOut(pending.child, waitingFor: purpose)
            pending.reply.resume(returning: .failure(error))
        }
        for pending in waiting {
            pending.reply.resume(
                returning: .failure(.timedOut(pending.child, waitingFor: "ready")))
        }
    }
}
