internal import Analysis
internal import Game24
internal import JSON
internal import PointClouds
internal import Recording
internal import Wire

/// Whether each message of one type had exactly one effect: one message of another type that answers it.
public struct OnceChecker: Checker {
    /// How people name it.
    public let name: String
    private let request: String
    private let effect: String

    /// A checker.
    ///
    /// - Parameters:
    ///   - name: How people name it.
    ///   - request: The type of what is asked.
    ///   - effect: The type of what follows from it, and names it as its cause.
    public init(name: String, request: String, effect: String) {
        self.name = name
        self.request = request
        self.effect = effect
    }

    private struct Asked: Hashable {
        let identity: Identity
        let receiver: String
    }

    /// Decides: an effect counts for the receiver that sent it.
    public func check(_ evidence: Evidence) -> CheckOutcome {
        let causes = evidence.causes
        var asked: Set<Asked> = []
        var effects: [Asked: Set<Identity>] = [:]
        for record in evidence.own.lazy.flatMap(\.records) where record.lane == .primary {
            if record.direction == .delivered, record.type == request {
                asked.insert(Asked(identity: record.identity, receiver: record.agent))
            } else if record.direction == .sent, record.type == effect,
                let cause = causes[record.identity]
            {
                effects[Asked(identity: cause, receiver: record.agent), default: []]
                    .insert(record.identity)
            }
        }
        let findings = asked.compactMap { asked -> Finding? in
            let count = effects[asked]?.count ?? 0
            guard count != 1 else { return nil }
            return Finding(
                .error, count == 0 ? .lost : .duplicated, identity: asked.identity,
                receiver: asked.receiver,
                reason: "\(asked.identity) had \(count) effects of type '\(effect)' at "
                    + "\(asked.receiver).")
        }
        return outcome(
            looked: asked.count, at: "messages of type '\(request)'",
            findings: findings.sortedByEnvelope, wrong: "Effects are not one each")
    }
}

/// Whether every answer of a Game-of-24 search is one: 24, exactly, of the puzzle's numbers, each once;
/// and null only where there is none.
public struct AnswerChecker: Checker {
    /// How people name it.
    public let name = "answers"

    /// A checker.
    public init() {}

    /// Decides over everything of type `answer` that was sent.
    public func check(_ evidence: Evidence) throws -> CheckOutcome {
        var findings: [Finding] = []
        var count = 0
        for record in evidence.histories.lazy.flatMap(\.records)
        where record.direction == .sent && record.lane == .primary && record.type == "answer" {
            guard case .bytes(let bytes) = record.content else { continue }
            count += 1
            guard let reason = try Self.fault(of: bytes) else { continue }
            findings.append(
                Finding(
                    .error, .corrupted, identity: record.identity,
                    reason: "\(record.identity): \(reason)."))
        }
        return outcome(
            looked: count, at: "answers", findings: findings.sortedByEnvelope,
            wrong: "Answers are none")
    }

    private static func fault(of bytes: [UInt8]) throws -> String? {
        guard let value = try? Value(parsing: bytes),
            let numbers = value["numbers"]?.array?.compactMap(\.integer),
            let puzzle = Puzzle(numbers), let answer = value["answer"]
        else { return "it has no numbers and answer" }
        if answer == .null {
            return try puzzle.isSolvable() ? "\(puzzle) has an answer, and none was found" : nil
        }
        guard let text = answer.string, let expression = Expression(text),
            puzzle.isAnswer(expression)
        else { return "\(answer.canonical) is no answer to \(puzzle)" }
        return nil
    }
}

/// Whether point clouds arrived as they were sent, or within a tolerance.
///
/// Compared by digest, then by count, then point by point; a cloud in shared memory by the digest that its
/// sender wrote and its receiver compared.
public struct CloudChecker: Checker {
    /// How people name it.
    public let name: String
    private let type: String?
    private let tolerance: Double

    /// A checker.
    ///
    /// - Parameters:
    ///   - name: How people name it.
    ///   - type: The message type of the clouds; nil for whatever can be read as one.
    ///   - tolerance: How far a coordinate may be off.
    public init(name: String, type: String? = nil, tolerance: Double = 0) {
        self.name = name
        self.type = type
        self.tolerance = tolerance
    }

    /// Decides.
    public func check(_ evidence: Evidence) -> CheckOutcome {
        var sent: [Identity: Content] = [:]
        for record in evidence.histories.lazy.flatMap(\.records)
        where record.direction == .sent && record.lane == .primary && isMeant(record) {
            sent[record.identity] = record.content
        }
        var findings: [Finding] = []
        var (count, undecided) = (0, 0)
        for record in evidence.own.lazy.flatMap(\.records)
        where record.direction == .delivered && record.lane == .primary {
            guard let original = sent[record.identity] else { continue }
            count += 1
            if original.length == record.content.length, original.digest == record.content.digest {
                continue
            }
            guard case .bytes(let one) = original, case .bytes(let other) = record.content else {
                // Two digests that differ say nothing of how far.
                if tolerance > 0 {
                    undecided += 1
                } else {
                    findings.append(finding(record, "the digests differ"))
                }
                continue
            }
            if let reason = difference(one, other) { findings.append(finding(record, reason)) }
        }
        if findings.isEmpty, undecided > 0 {
            return CheckOutcome(
                name, .inconclusive,
                reason: "Of \(undecided) clouds that differ only digests were recorded.")
        }
        return outcome(
            looked: count, at: "clouds", findings: findings.sortedByEnvelope,
            wrong: "Clouds arrived otherwise than they were sent")
    }

    private func isMeant(_ record: HistoryRecord) -> Bool {
        if let type { return record.type == type }
        if record.contentEncoding == .descriptor { return true }
        guard record.contentEncoding == .binary, case .bytes(let bytes) = record.content else {
            return false
        }
        return bytes.withUnsafeBytes { (try? CloudContent($0)) != nil }
    }

    private func finding(_ record: HistoryRecord, _ reason: String) -> Finding {
        Finding(
            .error, .corrupted, identity: record.identity, receiver: record.agent,
            reason: "\(record.identity) at \(record.agent): \(reason).")
    }

    private func difference(_ one: [UInt8], _ other: [UInt8]) -> String? {
        one.withUnsafeBytes { left in
            other.withUnsafeBytes { right in
                guard let before = try? CloudContent(left), let after = try? CloudContent(right)
                else { return "it cannot be read as a cloud" }
                guard before.header.count == after.header.count else {
                    return "\(before.header.count) points became \(after.header.count)"
                }
                let (first, second) = (before.cloud, after.cloud)
                var largest = 0.0
                for index in 0..<first.count {
                    let (a, b) = (first[index], second[index])
                    largest = max(largest, abs(a.x - b.x), abs(a.y - b.y), abs(a.z - b.z))
                }
                return largest <= tolerance
                    ? nil : "a coordinate is off by \(largest), \(tolerance) allowed"
            }
        }
    }
}
