public import JSON

extension Row {
    /// The row as `bench --json` and a kept run have it.
    public var json: Value {
        [
            "metric": .string(metric),
            "unit": .string(unit),
            "ours": .double(Statistics.median(ours)),
            "reference": reference.isEmpty ? .null : .double(Statistics.median(reference)),
            "ratio": ratio.map(Value.double) ?? .null,
            "target": .string(target.description),
            "met": met.map(Value.bool) ?? .null,
            "runs": [
                "ours": .array(ours.map(Value.double)),
                "reference": .array(reference.map(Value.double)),
            ],
        ]
    }

    /// Reads what `json` wrote; what follows from the runs is made from them anew.
    ///
    /// - Returns: nil where it is no row.
    init?(_ value: Value) {
        func figures(_ name: String) -> [Double]? {
            guard let values = value["runs"]?[name]?.array else { return nil }
            let numbers = values.compactMap(\.double)
            return numbers.count == values.count ? numbers : nil
        }
        guard let metric = value["metric"]?.string, let unit = value["unit"]?.string,
            let target = value["target"]?.string.flatMap(Target.init(text:)),
            let ours = figures("ours"), !ours.isEmpty, let reference = figures("reference")
        else { return nil }
        self.init(metric, unit: unit, ours: ours, reference: reference, target: target)
    }
}

extension Row.Target {
    /// Reads what `description` wrote.
    init?(text: String) {
        if text.isEmpty {
            self = .none
            return
        }
        var digits = text.dropFirst(3).filter { $0 != "," }
        let isRatio = digits.last == "x"
        if isRatio { digits.removeLast() }
        guard let bound = Double(digits) else { return nil }
        switch (text.prefix(3), isRatio) {
        case (">= ", true): self = .ratioAtLeast(bound)
        case (">= ", false): self = .atLeast(bound)
        case ("<= ", true): self = .ratioAtMost(bound)
        case ("<= ", false): self = .atMost(bound)
        default: return nil
        }
    }

    /// The figure that is to be reached; nil where there is none.
    var bound: Double? {
        switch self {
        case .ratioAtLeast(let bound), .ratioAtMost(let bound): bound
        case .atLeast(let bound), .atMost(let bound): bound
        case .none: nil
        }
    }

    /// Whether it is the ratio that is judged.
    var isOfRatio: Bool {
        switch self {
        case .ratioAtLeast, .ratioAtMost: true
        case .atLeast, .atMost, .none: false
        }
    }
}

extension Row {
    /// Which way is good; nil where nothing says.
    var isMoreBetter: Bool? {
        switch target {
        case .ratioAtLeast, .atLeast: true
        case .ratioAtMost, .atMost: false
        case .none:
            switch unit {
            case let unit where unit.hasSuffix("/s"): true
            case "ns", "us", "ms", "s", "KB", "MB", "%", "messages": false
            default: nil
            }
        }
    }

    /// What is compared between runs: ratios of neighbours where there is a reference, else figures.
    var samples: [Double] {
        guard !reference.isEmpty, ours.count == reference.count else { return ours }
        return zip(ours, reference).map { $0 / max($1, .leastNormalMagnitude) }
    }

    /// Whether `samples` are ratios: what the machine does otherwise is the same for both sides.
    var hasRatios: Bool { !reference.isEmpty && ours.count == reference.count }
}
