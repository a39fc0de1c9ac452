internal import Wire
internal import YAML

/// A step with the names that it uses.
struct ReadStep {
    var step: Scenario.Step
    var heading: Location
    var references: [Scenario.Reference]
}

extension Reading where Value == ReadStep {
    /// One step: `kind: { … }`, or the kind alone.
    static var step: Reading {
        .oneKey(
            of: [
                "baseline": step { _ in .baseline },
                "parallel_run": step { reader in
                    reader.required(
                        "mode",
                        .enumeration("mode", of: ["dual": Scenario.Action.dual, "twin": .twin]))
                },
                "canary": step { reader in
                    reader.required("agent", .string).map { .canary(agent: $0) }
                },
                "rollout": step { rollout($0).map { .rollout($0) } },
                "cutover": step { reader in
                    .cutover(
                        fallback: reader.optional(
                            "keep_fallback", .duration(in: .zero ... .seconds(86_400)),
                            default: .zero))
                },
                "load": step { _ in .load },
                "hold": step { reader in
                    reader.required(
                        "for", .duration(in: .zero ... .seconds(86_400)), example: "10s"
                    ).map { .hold($0) }
                },
                "pause_for_person": plain { .ask(question($0)) },
                "fault": standingFault,
                "heal": plain { _ in .heal },
                "rollback": step { _ in .rollback },
                "move": step { relocation($0).map { .move($0) } },
                "check": check,
            ], what: "step")
    }

    private static func rollout(_ reader: MappingReader) -> Scenario.Rollout? {
        let order = reader.optional("order", .listOrOne(of: .string), default: [])
        let first = reader.optional(
            "first", .enumeration("order", of: ["least_traffic": true]), default: false)
        if first, !order.isEmpty {
            reader.diagnostics.error(
                "an order is given, or follows from the traffic",
                at: reader.keyLocation(of: "first") ?? reader.heading,
                help: "drop 'order' or 'first'")
        }
        return Scenario.Rollout(
            order: order, wave: reader.optional("wave", .integer(in: 1...10_000), default: 1),
            isByTraffic: first)
    }

    private static func question(_ reader: MappingReader) -> Scenario.Question {
        Scenario.Question(
            text: reader.optional("text", .string, default: "Go on?"),
            timeout: reader.optional(
                "timeout", .duration(in: .seconds(1) ... .seconds(86_400)),
                default: .seconds(3_600)),
            isContinuedUnattended: reader.optional(
                "unattended", .enumeration("choice", of: ["abort": false, "continue": true]),
                default: false))
    }

    /// A step without a load.
    private static func plain(_ action: @escaping (MappingReader) -> Scenario.Action) -> Reading {
        .mapping { reader in
            ReadStep(
                step: Scenario.Step(
                    action: action(reader), load: [], faults: [], limits: nil, minimumSamples: 1,
                    line: reader.heading.line),
                heading: reader.heading, references: [])
        }
    }

    private static var standingFault: Reading {
        Reading<Located<Scenario.ScheduledFault>>.standingFault.map { fault in
            ReadStep(
                step: Scenario.Step(
                    action: .fault(fault.value), load: [], faults: [], limits: nil,
                    minimumSamples: 1, line: fault.location.line),
                heading: fault.location,
                references: [
                    .init(target: .process, name: fault.value.target, location: fault.location)
                ])
        }
    }

    private static func relocation(_ reader: MappingReader) -> Scenario.Relocation? {
        let agents = reader.optional("agents", .listOrOne(of: .string), default: [])
        let target = reader.optional("to", .enumeration("transport", of: Transport.self))
        let roundTrips = reader.optional("round_trips", .integer(in: 0...100_000), default: 0)
        let isTogether = reader.optional("together", .bool, default: false)
        let endsLoad = reader.optional("ends_load", .bool, default: false)
        if target == nil, roundTrips == 0 {
            reader.diagnostics.error(
                "a move goes somewhere", at: reader.heading,
                help: "say 'to: nats', or 'round_trips: 1' for there and back")
            return nil
        }
        return Scenario.Relocation(
            agents: agents, target: target, roundTrips: roundTrips, isTogether: isTogether,
            endsLoad: endsLoad)
    }

    private static var check: Reading {
        .mapping { reader in
            let checkers = reader.required(
                "checkers", .listOrOne(of: .checker), example: "[delivery, causal]")
            let timeout = reader.optional(
                "timeout", .duration(in: .seconds(1) ... .seconds(3_600)), default: .seconds(60))
            guard let checkers else { return nil }
            if checkers.isEmpty {
                // Nothing asked would be nothing wrong.
                reader.diagnostics.error(
                    "a check needs a checker",
                    at: reader.location(of: "checkers") ?? reader.heading,
                    help: "write 'checkers: [delivery, causal]'")
            }
            let check = Scenario.Check(checkers: checkers, timeout: timeout)
            return ReadStep(
                step: Scenario.Step(
                    action: .check(check), load: [], faults: [], limits: nil, minimumSamples: 1,
                    line: reader.heading.line),
                heading: reader.heading, references: [])
        }
    }

    private static func step(
        _ action: @escaping (MappingReader) -> Scenario.Action?
    ) -> Reading {
        .mapping { reader in
            let action = action(reader)
            let load = reader.optional("load", .load, default: [])
            let faults = reader.optional("faults", .list(of: .fault), default: [])
            let limits = reader.optional("limits", .limits)
            let samples = reader.optional(
                "minimum_samples", .integer(in: 1...1_000_000_000), default: 1)
            guard let action else { return nil }
            if action == .twin, !faults.isEmpty {
                reader.diagnostics.error(
                    "a twin run takes no faults",
                    at: reader.keyLocation(of: "faults") ?? reader.heading,
                    help: "play them in a baseline or a canary")
            }
            var references = load.map {
                Scenario.Reference(target: .agent, name: $0.value.agent, location: $0.location)
            }
            references += faults.map {
                Scenario.Reference(target: .process, name: $0.value.target, location: $0.location)
            }
            switch action {
            case .canary(let agent):
                let location = reader.location(of: "agent") ?? reader.heading
                references.append(.init(target: .movable, name: agent, location: location))
            case .rollout(let rollout):
                let location = reader.location(of: "order") ?? reader.heading
                references += rollout.order.map {
                    .init(target: .movable, name: $0, location: location)
                }
            case .cutover:
                references.append(
                    .init(target: .cutover, name: action.kind, location: reader.heading))
            case .twin:
                references.append(
                    .init(target: .twin, name: action.kind, location: reader.heading))
            case .move(let relocation):
                let location = reader.location(of: "agents") ?? reader.heading
                references += relocation.agents.map {
                    .init(target: .relocatable, name: $0, location: location)
                }
            default: break
            }
            if action == .twin || action == .dual {
                references.append(
                    .init(target: .doubled, name: action.kind, location: reader.heading))
            }
            if action.needsServer {
                references.append(
                    .init(target: .server, name: action.kind, location: reader.heading))
            }
            return ReadStep(
                step: Scenario.Step(
                    action: action, load: load.map(\.value), faults: faults.map(\.value),
                    limits: limits, minimumSamples: samples, line: reader.heading.line),
                heading: reader.heading, references: references)
        }
    }
}

extension Scenario.Action {
    /// Whether it makes no sense without NATS.
    fileprivate var needsServer: Bool {
        switch self {
        case .baseline, .rollback, .load, .hold, .ask, .fault, .heal, .check: false
        case .dual, .twin, .canary, .rollout, .cutover, .move: true
        }
    }
}
