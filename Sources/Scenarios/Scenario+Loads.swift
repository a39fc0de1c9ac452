internal import Wire
internal import YAML

extension Reading where Value == [Located<Scenario.Load>] {
    /// `agent: { count, rate, size }` for each agent that sends.
    static var load: Reading {
        Reading<[Keyed<Scenario.Load>]>.dictionary(
            of: .mapping { reader in
                if reader.keyLocation(of: "recording") != nil { return recorded(reader) }
                let count = reader.required("count", .integer(in: 1...1_000_000_000))
                let rate = reader.optional("rate", .number(in: 0.001...10_000_000))
                let size = reader.optional("size", .byteSize(in: 0...(1 << 30)))
                let type = reader.optional("type", .messageType)
                return count.map {
                    Scenario.Load(agent: "", count: $0, rate: rate, size: size, type: type)
                }
            }
        ).map { entries in
            entries.compactMap { entry in
                guard var load = entry.value else { return nil }
                load.agent = entry.key
                return Located(load, at: entry.location)
            }
        }
    }

    /// `agent: { recording: PLACE, speed, until }`: what it sent once.
    private static func recorded(_ reader: MappingReader) -> Scenario.Load? {
        let place = reader.required("recording", .string)
        let speed = reader.optional("speed", .speed, default: .factor(1))
        let until = reader.optional("until", .duration())
        guard let place else { return nil }
        var load = Scenario.Load(agent: "", count: 0)
        load.recording = Scenario.Load.Recorded(
            paths: [place], speed: speed.factor, until: until)
        return load
    }
}

/// How fast a recording is played.
enum PlayingSpeed: Sendable {
    /// So many times as fast as it was recorded.
    case factor(Double)
    /// As fast as there is room.
    case greatest

    var factor: Double? {
        switch self {
        case .factor(let factor): factor
        case .greatest: nil
        }
    }
}

extension Reading where Value == PlayingSpeed {
    /// A factor, or `max`.
    fileprivate static var speed: Reading {
        Reading<String>.scalarText.checked { text in
            text == "max" || Double(text).map { $0 > 0 && $0 <= 1_000_000 } ?? false
                ? nil
                : Complaint(
                    "a speed is a factor above 0, or 'max'",
                    help: "write 'speed: 2' for twice as fast as it was recorded")
        }.map { text in Double(text).map { .factor($0) } ?? .greatest }
    }
}

extension Reading where Value == Located<Scenario.ScheduledFault> {
    /// `{ kill: NAME, after: 1s }` or `{ stop: NAME, after: 1s, for: 500ms }`; in a step that moves
    /// agents, `at: asking` in place of `after`.
    static var fault: Reading {
        .mapping { reader in
            let after = reader.optional("after", .duration(), default: .zero)
            let step = reader.optional(
                "at", .enumeration("step of a move", of: Scenario.MoveStep.self))
            if step != nil, let place = reader.keyLocation(of: "after") {
                reader.diagnostics.error(
                    "a fault is at a time or at a step of a move", at: place,
                    help: "drop 'after' or 'at'")
            }
            let kill = reader.optional("kill", .located(.string))
            let stop = reader.optional("stop", .located(.string))
            let duration = reader.optional("for", .duration())
            switch (kill, stop) {
            case (let kill?, nil):
                if duration != nil {
                    reader.diagnostics.error(
                        "a killed process has no end to wait for",
                        at: reader.keyLocation(of: "for") ?? reader.heading,
                        help: "the part's own 'restart' says whether it comes back")
                }
                var fault = Scenario.ScheduledFault(kind: .kill, target: kill.value, after: after)
                fault.step = step
                return Located(fault, at: kill.location)
            case (nil, let stop?):
                guard let duration else {
                    reader.diagnostics.error(
                        "a stopped process needs an end", at: reader.heading,
                        help: "add 'for: 500ms'")
                    return nil
                }
                var fault = Scenario.ScheduledFault(
                    kind: .stop, target: stop.value, after: after, duration: duration)
                fault.step = step
                return Located(fault, at: stop.location)
            default:
                reader.diagnostics.error(
                    "a fault is one of kill, stop", at: reader.heading,
                    help: "write 'kill: NAME' or 'stop: NAME'")
                return nil
            }
        }
    }
}

extension Reading where Value == Located<Scenario.ScheduledFault> {
    /// `{ kill: NAME }` or `{ stop: NAME }`, which lasts until a step `heal`.
    static var standingFault: Reading {
        .mapping { reader in
            let kill = reader.optional("kill", .located(.string))
            let stop = reader.optional("stop", .located(.string))
            switch (kill, stop) {
            case (let kill?, nil):
                return Located(
                    .init(kind: .kill, target: kill.value, after: .zero), at: kill.location)
            case (nil, let stop?):
                return Located(
                    .init(kind: .stop, target: stop.value, after: .zero), at: stop.location)
            default:
                reader.diagnostics.error(
                    "a fault is one of kill, stop", at: reader.heading,
                    help: "write 'kill: NAME' or 'stop: NAME'")
                return nil
            }
        }
    }
}

extension Reading where Value == String {
    fileprivate static var messageType: Reading {
        .string.checked { type in
            Names.isLegal(type)
                ? nil
                : Complaint(
                    "'\(type)' is not legal as a message type on every wire",
                    help: "use letters, digits, '_' and '-'")
        }
    }
}
