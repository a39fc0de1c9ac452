public import JSON

/// A scope as a file, so that a run can be judged again by what it has left.
extension DeliveryScope {
    /// What is expected of whom, and the faults; the window and bounds of a step are not part of it.
    public var json: Value {
        [
            "proxies": Self.names(proxies), "observed": Self.names(observed),
            "keeping": Self.names(keeping), "acknowledging": Self.names(acknowledging),
            "watching": .bool(isWatching),
            "promises": .object(
                promises.mapValues { promises in
                    .array(
                        promises.map { promise in
                            [
                                "request": .string(promise.request),
                                "answer": .string(promise.answer),
                                "key": promise.key.map(Value.string) ?? .null,
                            ]
                        })
                }),
            "faults": .array(faults.map(\.json)),
        ]
    }

    /// Reads what `json` wrote; nil where it is something else.
    public init?(json: Value) {
        guard let proxies = Self.names(json["proxies"]),
            let observed = Self.names(json["observed"]),
            let keeping = Self.names(json["keeping"]),
            let acknowledging = Self.names(json["acknowledging"]),
            let isWatching = json["watching"]?.bool, let promises = json["promises"]?.object,
            let faults = json["faults"]?.array
        else { return nil }
        self.init()
        self.proxies = proxies
        self.observed = observed
        self.keeping = keeping
        self.acknowledging = acknowledging
        self.isWatching = isWatching
        for (agent, list) in promises {
            for value in list.array ?? [] {
                guard let request = value["request"]?.string, let answer = value["answer"]?.string
                else { return nil }
                self.promises[agent, default: []].append(
                    Promise(request: request, answer: answer, key: value["key"]?.string))
            }
        }
        for value in faults {
            guard let fault = FaultWindow(json: value) else { return nil }
            self.faults.append(fault)
        }
    }

    fileprivate static func names(_ names: Set<String>) -> Value {
        .array(names.sorted().map(Value.string))
    }

    fileprivate static func names(_ value: Value?) -> Set<String>? {
        guard let elements = value?.array else { return nil }
        let names = elements.compactMap(\.string)
        return names.count == elements.count ? Set(names) : nil
    }
}

extension FaultWindow {
    fileprivate var json: Value {
        var members: [String: Value] = [
            "id": .string(id), "kind": .string(kind), "target": .string(target),
            "started_ns": .string(String(started)),
            "explains": DeliveryScope.names(Set(explains.map(\.rawValue))),
        ]
        members["healed_ns"] = healed.map { .string(String($0)) }
        if case .agents(let names) = reach { members["agents"] = DeliveryScope.names(names) }
        return .object(members)
    }

    fileprivate init?(json: Value) {
        guard let id = json["id"]?.string, let kind = json["kind"]?.string,
            let target = json["target"]?.string,
            let started = json["started_ns"]?.string.flatMap({ UInt64($0) }),
            let explains = DeliveryScope.names(json["explains"])
        else { return nil }
        var reach = Reach.everything
        if let agents = json["agents"] {
            guard let names = DeliveryScope.names(agents) else { return nil }
            reach = .agents(names)
        }
        self.init(
            id: id, kind: kind, target: target, started: started,
            healed: json["healed_ns"]?.string.flatMap { UInt64($0) }, reach: reach,
            explains: Set(explains.compactMap(Deviation.init(rawValue:))))
    }
}
