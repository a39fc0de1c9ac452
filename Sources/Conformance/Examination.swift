internal import Control
internal import JSON
internal import Scenarios
internal import Supervision
internal import Wire

/// A clause that is not kept.
struct Broken: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}

/// A clause that cannot be looked at.
struct Skipped: Error {
    let reason: String

    init(_ reason: String) { self.reason = reason }
}

/// One program on one transport, taken through its life once, and every clause looked at on the way.
final class Examination {
    let bench: Bench
    private(set) var entries: [ConformanceReport.Entry] = []
    /// The next sequence of each of the checker's flows.
    private var sequences: [Address: UInt64] = [:]
    /// What `drain` was answered with.
    var drained: Value = .null
    /// Pings that were answered, by identity.
    var answered: [Envelope] = []
    /// Whether the program answers pings at all: most of what it does is only seen by that.
    private var answers = false
    var sendsLoads = false
    /// Whether it says that it keeps the class `at_least_once`.
    var acknowledges = false
    private var isReady = false
    /// During which clause the program ended though nobody asked it to.
    private var endedDuring: Clause?
    /// The program's life is over, and what was seen is looked at as a whole.
    var isOver = false
    /// Whether its branch waits for credit that does not come.
    private var isBlocked = false

    init(of bench: Bench) { self.bench = bench }

    var line: any Line { bench.line }
    var timeout: Duration { bench.timeout }
    var isOnZeroMQ: Bool { bench.transport == .zmq }

    func run() async {
        let refusals = await beginRefusals()
        await checkStart()
        await checkTopics()
        await checkEnvironment(refusals)
        await checkEnvelopes()
        let gap = beginGap()
        await checkReceiver()
        await checkHostility()
        await checkBatches()
        await checkCredit()
        await checkCommands()
        await checkPools()
        await checkPatience(gap)
        await checkMove()
        await checkEnd()
        await checkRecords()
        await checkDelivery()
        entries.sort { $0.clause.position < $1.clause.position }
    }

    /// Looks at one clause, and remembers what came of it.
    ///
    /// - Parameters:
    ///   - clause: The clause.
    ///   - needs: Without which the clause cannot be looked at.
    ///   - body: Throws `Broken`, `Skipped`, or an error of the way to the program.
    func check(
        _ clause: Clause, needs: Need = .answers, _ body: () async throws -> Void
    ) async {
        let outcome: ConformanceReport.Outcome
        if let reason = missing(needs) {
            outcome = .skipped(reason)
        } else {
            do {
                try await body()
                outcome = .kept
            } catch let error as Broken {
                outcome = .broken(error.reason)
            } catch let error as Skipped {
                outcome = .skipped(error.reason)
            } catch {
                outcome = .broken("\(error)")
            }
        }
        if case .broken = outcome, isReady, !isOver, await bench.hasEnded {
            isReady = false
            endedDuring = clause
        }
        switch (clause, outcome) {
        case (.ready, .kept): isReady = true
        case (.contents, .kept): answers = true
        // What waits for credit is in the way of all that follows.
        case (.credit, .broken): isBlocked = true
        default: break
        }
        entries.append(.init(clause: clause, transport: bench.transport, outcome: outcome))
    }

    /// What a clause needs to be looked at.
    enum Need {
        case nothing
        case ready
        case answers
        case zeroMQ
        case loads
    }

    func missing(_ need: Need) -> String? {
        switch need {
        case .nothing: nil
        case .ready:
            isReady
                ? nil
                : endedDuring.map { "the program ended during \($0.rawValue)" }
                    ?? "the program did not say that it is ready"
        case .answers:
            missing(.ready)
                ?? (isBlocked
                    ? "the branch waits for credit (\(Clause.credit.rawValue))"
                    : answers ? nil : "the program does not answer pings")
        case .zeroMQ: isOnZeroMQ ? missing(.ready) : "there is nothing like it on NATS"
        case .loads: missing(.answers) ?? (sendsLoads ? nil : "the program sends no load")
        }
    }

    /// Whether every clause that was looked at is kept.
    var isSound: Bool {
        entries.allSatisfy { entry in
            if case .broken = entry.outcome { false } else { true }
        }
    }

    /// The program runs again, or is meant to have ended.
    func resume(isReady: Bool) { self.isReady = isReady }

    // MARK: Pings

    /// The checker's next ping, not sent yet.
    func makePing(
        to destination: Address = .agent(Bench.program), _ text: String? = nil,
        content: [UInt8]? = nil, encoding: Envelope.ContentEncoding = .json
    ) -> Envelope {
        let sequence = sequences[destination, default: 0] + 1
        sequences[destination] = sequence
        let json = Value.object(["n": Value(sequence), "text": .string(text ?? "")])
        return Envelope(
            identity: Identity(
                flow: Flow(source: Bench.checker, destination: destination), incarnation: 1,
                sequence: sequence),
            type: "ping", sent: bench.context.clock.now, contentEncoding: encoding,
            content: content ?? Array(json.canonical.utf8))
    }

    /// Sends the checker's next ping.
    @discardableResult
    func ping(_ text: String? = nil) throws -> Envelope {
        let ping = makePing(text)
        try line.send(ping)
        return ping
    }

    /// What the program sent as the answer to an envelope.
    func echoes(of envelope: Envelope) -> [Envelope] {
        line.seen.lazy.compactMap(\.content).filter { Self.isEcho($0, of: envelope) }
    }

    private static func isEcho(_ answer: Envelope, of envelope: Envelope) -> Bool {
        answer.type == "echo" && answer.cause == envelope.identity
    }

    /// The answer to an envelope, if it comes in time; each of what was seen is looked at once.
    func firstEcho(of envelope: Envelope, within bound: Duration? = nil) async -> Envelope? {
        var looked = 0
        return await first(within: bound) {
            let seen = self.line.seen
            defer { looked = seen.count }
            return seen[looked...].lazy.compactMap(\.content)
                .first { Self.isEcho($0, of: envelope) }
        }
    }

    /// Waits for the answer to an envelope.
    @discardableResult
    func echo(
        of envelope: Envelope, _ what: String, within bound: Duration? = nil
    ) async throws -> Envelope {
        guard
            let echo = await firstEcho(of: envelope, within: bound)
        else {
            let strays = line.seen.lazy.compactMap(\.content).filter {
                $0.type == "echo" && $0.cause == nil
            }
            if !strays.isEmpty {
                throw Skipped("its echoes name no cause (\(Clause.causes.rawValue))")
            }
            throw Broken("no echo of \(what) within \(bound ?? timeout)")
        }
        answered.append(envelope)
        return echo
    }

    /// Looks again and again until there is something, or the time is up.
    func first<Found>(
        within bound: Duration? = nil, _ look: () async -> Found?
    ) async -> Found? {
        let end = ContinuousClock.now + (bound ?? timeout)
        while true {
            if let found = await look() { return found }
            guard ContinuousClock.now < end, !Task.isCancelled else { return nil }
            try? await ContinuousClock().sleep(for: .milliseconds(5))
        }
    }

    /// Requires that something holds in time.
    func wait(
        _ problem: @autoclosure () -> String, within bound: Duration? = nil,
        _ holds: () async -> Bool
    ) async throws {
        guard await first(within: bound, { await holds() ? true : nil }) != nil else {
            throw Broken(problem())
        }
    }
}

func require(_ condition: Bool, _ problem: @autoclosure () -> String) throws {
    if !condition { throw Broken(problem()) }
}

extension Clause {
    fileprivate var position: Int { Clause.allCases.firstIndex(of: self) ?? 0 }
}
