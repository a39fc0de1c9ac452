internal import Glibc
internal import JSON
internal import Supervision

/// What is said of a process to those who ask.
struct ProcessReport: Sendable {
    let status: ProcessStatus
    let kind: String
    let isReady: Bool

    init(_ status: ProcessStatus, kind: String, isReady: Bool) {
        self.status = status
        self.kind = kind
        self.isReady = isReady
    }

    /// The report as messages have it; times are durations, since clocks mean nothing to others.
    var json: Value {
        let now = Self.now
        return [
            "name": .string(status.name), "kind": .string(kind),
            "phase": .string(status.phase.rawValue), "ready": .bool(isReady),
            "paused": .bool(status.isPaused), "pid": status.process.map { Value($0) } ?? .null,
            "incarnation": Value(status.incarnation),
            "up_ms": status.startedAt.map { Value((now - min($0, now)) / 1_000_000) } ?? .null,
            "restarts_in_ms": status.restartsAt.map {
                Value(($0 - min($0, now)) / 1_000_000)
            } ?? .null,
            "last_exit": status.lastExit.map(Self.json(of:)) ?? .null,
            "probes": .array(status.probes.map(Self.json(of:))),
        ]
    }

    private static func json(of report: ExitReport) -> Value {
        var members: [String: Value] = [
            "incarnation": Value(report.incarnation), "pid": Value(report.process),
            "cause": .string(report.cause.description),
            "attribution": .string(report.attribution.description),
            "failure": .bool(report.isFailure), "description": .string(report.description),
        ]
        if case .exited(let code) = report.cause { members["code"] = Value(code) }
        if case .signalled(let number, _) = report.cause { members["signal"] = Value(number) }
        return .object(members)
    }

    private static func json(of probe: ProbeStatus) -> Value {
        [
            "name": .string(probe.rule.name), "as": .string(probe.rule.role.rawValue),
            "asks": .string(probe.rule.description),
            "passes": probe.passes.map(Value.bool) ?? .null, "reason": .string(probe.reason),
        ]
    }

    /// An event with the time of the run.
    static func json(of event: ProcessEvent, clock: UInt64) -> Value {
        var members: [String: Value] = [
            "at": Value(clock), "description": .string(event.description),
        ]
        switch event {
        case .started(let running):
            members["event"] = "started"
            members["name"] = .string(running.name)
            members["pid"] = Value(running.process)
            members["incarnation"] = Value(running.incarnation)
        case .exited(let report):
            members["event"] = "exited"
            members["name"] = .string(report.name)
            members["exit"] = json(of: report)
        case .restarting(let name, let incarnation, let after):
            members["event"] = "restarting"
            members["name"] = .string(name)
            members["incarnation"] = Value(incarnation)
            members["after_ms"] = Value(after.wholeMilliseconds)
        case .givenUp(let name, let reason):
            members["event"] = "given_up"
            members["name"] = .string(name)
            members["reason"] = .string(reason)
        case .ready(let name, let incarnation):
            members["event"] = "ready"
            members["name"] = .string(name)
            members["incarnation"] = Value(incarnation)
        case .unready(let name, let incarnation, let reason):
            members["event"] = "unready"
            members["name"] = .string(name)
            members["incarnation"] = Value(incarnation)
            members["reason"] = .string(reason)
        case .paused(let name, let fault):
            members["event"] = "paused"
            members["name"] = .string(name)
            members["fault"] = .string(fault)
        case .resumed(let name):
            members["event"] = "resumed"
            members["name"] = .string(name)
        }
        return .object(members)
    }

    private static var now: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
