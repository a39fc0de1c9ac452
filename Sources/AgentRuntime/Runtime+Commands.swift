internal import Control
internal import JSON
internal import Messaging
internal import Moves
internal import Wire

extension Runtime {
    /// Does what the orchestrator wants, command by command.
    func obey() throws {
        while !isStopping {
            let command: Command?
            do throws(ControlError) {
                command = try control.next()
            } catch {
                // A control plane that fails leaves the agent to SIGTERM.
                Output.log("\(error)")
                return
            }
            guard let command else { return }
            try obey(command)
        }
    }

    private func obey(_ command: Command) throws {
        switch command.name {
        case "load": startLoad(command)
        case "enough":
            for load in loads { report(load, "cut short") }
            loads.removeAll()
            answer(command, [:])
        case "status": answer(command, status)
        case "result": answer(command, agent.result())
        case "shadow": changeShadow(command)
        case "drain": try drain(command)
        case "pause": beginPause(command)
        case "move": try beginMove(command)
        case "resume":
            endPause()
            answer(command, [:])
        case "stop":
            stopCommand = command.id
            isStopping = true
        default:
            refuse(
                command,
                "unknown command '\(command.name)'; known are load, enough, status, shadow, move, drain, "
                    + "pause, resume, stop and result")
        }
    }

    // MARK: Loads

    private func startLoad(_ command: Command) {
        guard !isDrained else { return refuse(command, "the agent is drained") }
        do throws(LoadError) {
            let order = try LoadOrder(command.arguments)
            let body: any Load
            if let recorded = try RecordedLoad(order, source: environment.name) {
                body = recorded
            } else {
                body = try agent.load(order)
            }
            guard !body.destinations.isEmpty else {
                throw LoadError("the agent has nobody to send to: its settings name no 'to'")
            }
            loads.append(
                ActiveLoad(
                    command: command.id, body: body,
                    schedule: LoadSchedule(order, began: environment.clock.now)))
            Output.log(
                "load started: \(order.count.map { "\($0) messages" } ?? "by time") to "
                    + body.destinations.map(\.description).joined(separator: ", "))
        } catch {
            refuse(command, error.description)
        }
    }

    /// Answers the command of a load that is over.
    func report(_ load: ActiveLoad, _ how: String) {
        Output.log(
            "load \(how): \(load.schedule.done) messages, \(load.sent) envelopes sent"
                + (load.failed > 0 ? ", \(load.failed) failed" : ""))
        var result: [String: Value] = [
            "sent": Value(load.sent), "failed": Value(load.failed),
            "messages": Value(load.schedule.done),
        ]
        result["failure"] = load.failure.map(Value.string)
        switch how {
        case "finished": break
        case "cut short": result["cut"] = true
        default: result["unfinished"] = true
        }
        reply { () throws(ControlError) in
            try control.answer(load.command, result: .object(result))
        }
    }

    /// Ends all loads, as far as they have come; returns the arguments that would finish them.
    @discardableResult
    func abandonLoads() -> [Value] {
        let now = environment.clock.now
        let unfinished = loads.filter { !$0.schedule.isFinished(at: now) }
        for load in loads {
            report(load, load.schedule.isFinished(at: now) ? "finished" : "stopped")
        }
        loads.removeAll()
        return unfinished.map { $0.schedule.remainder(at: now) }
    }

    // MARK: Others

    private var status: Value {
        var members = client.counters.json.object ?? [:]
        members["loading"] = .bool(!loads.isEmpty || agent.isBusy)
        members["subscriptions"] = .array(client.subscriptions.sorted().map(Value.string))
        members["transport"] = .string((live?.route.transport ?? environment.transport).rawValue)
        members["moving"] = .bool(live?.isMoving ?? false)
        members["connected"] = .bool(client.isConnected)
        members["failed"] = Value(outbox.failed)
        members["shadow"] = .bool(client.hasShadow)
        members["acknowledges"] = .bool(!environment.speaksSeedWire)
        members["drained"] = .bool(isDrained)
        members["paused"] = .bool(pause != nil)
        return .object(members)
    }

    private func changeShadow(_ command: Command) {
        let phase = command.arguments["phase"]?.string ?? ""
        do throws(MessagingError) {
            switch phase {
            case "listen":
                guard let url = environment.nats else {
                    return refuse(command, "the agent has no SYNMESH_NATS_URL")
                }
                try client.listenShadow(
                    url: url, run: command.arguments["run"]?.string ?? environment.run)
            case "send": try client.sendShadow()
            case "quiet": try client.quietShadow()
            case "close": try client.closeShadow()
            default:
                return refuse(command, "the phase '\(phase)' is not listen, send, quiet or close")
            }
            Output.log("shadow: \(phase)")
            answer(command, ["phase": .string(phase)])
        } catch {
            refuse(command, error.description)
        }
    }

    private func drain(_ command: Command) throws {
        guard !isDrained else { return refuse(command, "the agent is drained already") }
        endPause()
        let unfinished = abandonLoads()
        let hold = command.arguments["epoch"]?.integer.flatMap(UInt64.init(exactly:))
        let result = try client.drain(hold: hold) { envelope in try handle(envelope) }
        isDrained = true
        for problem in result.problems { Output.log("drain: \(problem)") }
        Output.log(
            "drained: \(result.delivered) envelopes handed out, \(unfinished.count) loads unfinished"
        )
        var state = client.state.object ?? [:]
        state["agent"] = agent.state()
        state["wishes"] = .array(
            outbox.takeWishes().map { wish in
                ["topic": .string(wish.topic), "wanted": .bool(wish.isWanted)]
            })
        answer(
            command,
            [
                "state": .object(state), "unfinished_loads": .array(unfinished),
                "delivered": Value(result.delivered),
                "inbound_complete": .bool(result.isInboundComplete),
                "outbound_complete": .bool(result.isOutboundComplete),
                "problems": .array(result.problems.map(Value.string)),
            ])
    }

    // MARK: Answers

    func answer(_ command: Command, _ result: Value) {
        reply { () throws(ControlError) in try control.answer(command.id, result: result) }
    }

    func refuse(_ command: Command, _ reason: String) {
        Output.log("refused '\(command.name)': \(reason)")
        reply { () throws(ControlError) in try control.fail(command.id, error: reason) }
    }

    /// An orchestrator that takes no answers will end the agent; until then it works.
    func reply(_ attempt: () throws(ControlError) -> Void) {
        do throws(ControlError) {
            try attempt()
        } catch {
            Output.log("\(error)")
        }
    }
}
