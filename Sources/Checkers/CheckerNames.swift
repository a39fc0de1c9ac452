internal import Quantities

/// Why a text names no checker.
public struct CheckerNameError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What is wrong, with the remedy, on one line.
    public let description: String
}

/// Checkers by the names that people give them.
public enum Checkers {
    /// How each is written, and what it decides.
    public static let forms: [(form: String, meaning: String)] = [
        ("delivery", "everything came, once, in order, unaltered, but for what faults explain"),
        ("order", "each flow came in its order"),
        ("causal", "nothing came before what it follows from"),
        ("latency:p99=5ms", "so many percent came in time; also transport=nats, type=ping, min=20"),
        ("liveness:2s", "flows came back so soon after each heal"),
        ("once:order->invoice", "each message of one type had one effect of the other"),
        ("answers", "answers of Game-of-24 searches are right"),
        ("clouds:scan", "point clouds came as they were sent; also tolerance=0.001"),
        ("command:./mine", "a program of one's own reads the records and answers"),
    ]

    /// The checker of a name; nil where it is a command, which is not pure.
    ///
    /// - Throws: `CheckerNameError` where it names none.
    public static func named(_ text: String) throws(CheckerNameError) -> (any Checker)? {
        let colon = text.firstIndex(of: ":")
        let word = colon.map { text[..<$0] } ?? text[...]
        let rest = colon.map { text[text.index(after: $0)...] } ?? ""
        let parts = rest.split(separator: ",").map(String.init)
        switch word {
        case "delivery" where rest.isEmpty: return DeliveryChecker()
        case "order" where rest.isEmpty: return OrderChecker()
        case "causal" where rest.isEmpty: return CausalChecker()
        case "answers" where rest.isEmpty: return AnswerChecker()
        case "latency": return try latency(text, parts)
        case "liveness":
            return LivenessChecker(name: text, deadline: try duration(String(rest), in: text))
        case "once":
            let types = rest.split(separator: ">", maxSplits: 1).map(String.init)
            guard types.count == 2, types[0].hasSuffix("-"), types[0].count > 1 else {
                throw wrong(text, "two types are missing, as once:order->invoice")
            }
            return OnceChecker(
                name: text, request: String(types[0].dropLast()), effect: types[1])
        case "clouds": return try clouds(text, parts)
        case "command" where !rest.isEmpty: return nil
        default:
            throw wrong(
                text, "checkers are written as " + forms.map(\.form).joined(separator: ", "))
        }
    }

    private static func latency(
        _ text: String, _ parts: [String]
    ) throws(CheckerNameError) -> LatencyChecker {
        var (percentile, budget, samplesMin): (Double?, UInt64?, Int) = (nil, nil, 20)
        var (transport, type): (String?, String?) = (nil, nil)
        for part in parts {
            let (name, value) = try pair(part, in: text)
            switch name {
            case "transport": transport = value
            case "type": type = value
            case "min":
                guard let number = Int(value), number > 0 else {
                    throw wrong(text, "'\(value)' is no number of deliveries")
                }
                samplesMin = number
            default:
                guard name.hasPrefix("p"), let number = Double(name.dropFirst()), number > 0,
                    number <= 100
                else { throw wrong(text, "'\(name)' is no percentile, as p99") }
                percentile = number
                budget = try duration(value, in: text)
            }
        }
        guard let percentile, let budget else {
            throw wrong(text, "a budget is missing, as latency:p99=5ms")
        }
        return LatencyChecker(
            name: text, percentile: percentile, budget: budget, transport: transport, type: type,
            samplesMin: samplesMin)
    }

    private static func clouds(
        _ text: String, _ parts: [String]
    ) throws(CheckerNameError) -> CloudChecker {
        var (type, tolerance): (String?, Double) = (nil, 0)
        for part in parts {
            guard part.contains("=") else {
                type = part
                continue
            }
            let (name, value) = try pair(part, in: text)
            guard name == "tolerance", let number = Double(value), number >= 0, number.isFinite
            else { throw wrong(text, "'\(part)' is no tolerance, as tolerance=0.001") }
            tolerance = number
        }
        return CloudChecker(name: text, type: type, tolerance: tolerance)
    }

    private static func pair(
        _ part: String, in text: String
    ) throws(CheckerNameError) -> (String, String) {
        let sides = part.split(separator: "=", maxSplits: 1).map(String.init)
        guard sides.count == 2 else { throw wrong(text, "'\(part)' says nothing behind a '='") }
        return (sides[0], sides[1])
    }

    private static func duration(
        _ part: String, in text: String
    ) throws(CheckerNameError) -> UInt64 {
        if let time = Quantity.duration(part) { return UInt64(time / .nanoseconds(1)) }
        throw wrong(text, "'\(part)' is no duration, as 5ms or 2s")
    }

    private static func wrong(_ text: String, _ reason: String) -> CheckerNameError {
        CheckerNameError(description: "'\(text)' is no checker: \(reason)")
    }
}
