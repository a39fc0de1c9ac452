internal import Control
internal import Glibc
internal import JSON
internal import Messaging
internal import Moves
internal import Threads
internal import Wire

/// The command `move`: the agent changes its transport and goes on meanwhile.
extension Runtime {
    /// How long at most it is waited for something that a move waits for, before it looks again.
    private static let lookAgain: Duration = .milliseconds(5)

    func beginMove(_ command: Command) throws {
        guard !isDrained else { return refuse(command, "the agent is drained") }
        guard let live else {
            return refuse(command, "the agent speaks a wire on which it cannot move while it runs")
        }
        guard let target = Route(command.arguments) else {
            return refuse(command, "'transport' (zmq or nats) and 'epoch' are needed")
        }
        guard target.transport == .zmq ? environment.branch != nil : environment.nats != nil else {
            return refuse(command, "the agent does not know where \(target.transport.rawValue) is")
        }
        guard moveCommand == nil else { return answer(command, ["outcome": "busy"]) }
        live.halt(at: nil)
        if let name = command.arguments["halt_at"]?.string {
            guard let stage = MovingAgent.Stage(rawValue: name) else {
                return refuse(command, "'\(name)' is no step of a move")
            }
            live.halt(at: stage) {
                Output.log("halted at '\(name)', as asked")
                raise(SIGSTOP)
            }
        }
        moveCommand = command
        try live.begin(target)
        reportMoves()
    }

    /// One turn of a move while nothing can be sent: takes in, hands out nothing.
    func keepMoving() throws {
        try client.takeIn()
        reportMoves()
        guard live?.isMoving == true else { return }
        try rest(Self.lookAgain, also: client.inboundItems)
    }

    /// For how long there must be no move before what moves needed is given back, in nanoseconds.
    private static let quiet: UInt64 = 500_000_000

    /// Gives back the memory of a way that is closed, once no move has followed for a while.
    func tidyAfterMoves() {
        guard let at = tidyAt, environment.clock.now >= at, live?.isMoving != true else { return }
        tidyAt = nil
        // Beside the work: it takes a while. Where there is no room for a thread, nothing is given back.
        _ = try? DedicatedThread(named: "tidy") { ResidentPages.release() }
    }

    /// Says of moves that have ended how they did.
    func reportMoves() {
        while let move = live?.takeFinished() {
            tidyAt = environment.clock.now + Self.quiet
            let outcome = move.outcome.map { "\($0)" } ?? ""
            Output.log(
                "move to \(move.target.transport.rawValue) (epoch \(move.target.epoch)): \(outcome), "
                    + "nothing sent for \(move.pause / 1_000) us"
                    + (move.reason.map { ": \($0)" } ?? ""))
            guard let command = moveCommand else { continue }
            moveCommand = nil
            answer(command, json(of: move))
        }
    }

    private func json(of move: LiveMove) -> Value {
        var members: [String: Value] = [
            "pause_us": Value(move.pause / 1_000),
            "duration_us": Value((move.ended - move.began) / 1_000),
            "both_us": Value(move.opened.map { (move.ended - $0) / 1_000 } ?? 0),
            "held": Value(move.held),
        ]
        members["reason"] = move.reason.map(Value.string)
        switch move.outcome {
        case .moved?: members["outcome"] = "moved"
        case .unchanged?: members["outcome"] = "unchanged"
        case .busy?: members["outcome"] = "busy"
        case .stayed(let stage)?:
            members["outcome"] = "stayed"
            members["step"] = .string(stage.rawValue)
        case nil: break
        }
        return .object(members)
    }
}
