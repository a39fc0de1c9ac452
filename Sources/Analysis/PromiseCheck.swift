internal import JSON
internal import Recording
internal import Wire

/// Whether agents that keep no history answered what they were handed.
///
/// A request without an answer is lost behind the place where its delivery was seen: in the agent's
/// socket, or in the agent. An answer too many is a repeat, one that says something else is altered,
/// one to nothing is unexpected.
extension DeliveryCheck {
    /// One message of a conversation.
    private struct Turn {
        let identity: Identity
        let sent: UInt64
        let observed: UInt64
        let place: Place
        /// What a request and its answer have in common.
        let key: String
    }

    mutating func checkPromises() {
        for (agent, promises) in scope.promises.sorted(by: { $0.key < $1.key }) {
            for promise in promises {
                let requests = requests(to: agent, promise)
                let answers = answers(of: agent, promise)
                for peer in Set(requests.keys).union(answers.keys).sorted() {
                    check(requests[peer] ?? [], answers[peer] ?? [], promise)
                }
            }
        }
    }

    /// What the agent was handed, by who asked; of repeats the first.
    private mutating func requests(to agent: String, _ promise: Promise) -> [String: [Turn]] {
        var turns: [String: [Turn]] = [:]
        for (key, entries) in index.streams where key.flow.destination == .agent(agent) {
            var seen: Set<UInt64> = []
            for entry in entries.deliveries[agent] ?? [] {
                guard seen.insert(entry.sequence).inserted,
                    let turn = turn(at: entry.place, ofType: promise.request, promise)
                else { continue }
                turns[key.flow.source, default: []].append(turn)
            }
        }
        return turns.mapValues {
            $0.sorted { ($0.observed, $0.identity) < ($1.observed, $1.identity) }
        }
    }

    /// What the agent said, by whom to.
    private mutating func answers(of agent: String, _ promise: Promise) -> [String: [Turn]] {
        var turns: [String: [Turn]] = [:]
        for (key, entries) in index.streams where key.flow.source == agent {
            guard case .agent(let peer) = key.flow.destination else { continue }
            var seen: Set<UInt64> = []
            for entry in entries.sent {
                guard seen.insert(entry.sequence).inserted,
                    let turn = turn(at: entry.place, ofType: promise.answer, promise)
                else { continue }
                turns[peer, default: []].append(turn)
            }
        }
        return turns.mapValues { $0.sorted { ($0.sent, $0.identity) < ($1.sent, $1.identity) } }
    }

    private mutating func turn(
        at place: Place, ofType type: String, _ promise: Promise
    ) -> Turn? {
        let record = record(at: place)
        guard record.type == type else { return nil }
        return Turn(
            identity: record.identity, sent: record.sent, observed: record.observed, place: place,
            key: key(of: record, promise))
    }

    private mutating func key(of record: HistoryRecord, _ promise: Promise) -> String {
        guard case .bytes(let bytes) = record.content else {
            let note = "\(record.identity) is too large to be held against what answers it"
            if report.notes.count < scope.findingsMax { report.notes.append(note) }
            return ContentDigest.text(record.content.digest)
        }
        guard let value = try? Value(parsing: bytes) else {
            return ContentDigest.text(record.content.digest)
        }
        guard let member = promise.key else { return value.canonical }
        return value[member]?.canonical ?? ""
    }

    private mutating func check(_ requests: [Turn], _ answers: [Turn], _ promise: Promise) {
        var open: [String: [Int]] = [:]
        for (position, request) in requests.enumerated().reversed() {
            open[request.key, default: []].append(position)
        }
        let known = Set(open.keys)
        var isAnswered = [Bool](repeating: false, count: requests.count)
        var others: [(answer: Turn, after: Int)] = []
        var last = -1
        for answer in answers {
            if let position = open[answer.key]?.popLast() {
                isAnswered[position] = true
                last = position
            } else if known.contains(answer.key) {
                answeredAgain(answer)
            } else {
                others.append((answer, last))
            }
        }
        // What fits nothing was meant for the next one that has no answer yet.
        for (answer, after) in others {
            let positions = requests.indices.filter { !isAnswered[$0] }
            guard let position = positions.first(where: { $0 > after }) ?? positions.last else {
                answeredNothing(answer, promise)
                continue
            }
            isAnswered[position] = true
            answeredOtherwise(requests[position], answer, promise)
        }
        for (request, isAnswered) in zip(requests, isAnswered) where !isAnswered {
            unanswered(request, promise)
        }
    }

    private func leg(_ turn: Turn) -> Leg {
        Leg(
            stream: turn.identity.stream, receiver: turn.identity.flow.destination.name,
            subscription: nil, isAddressed: true)
    }

    private mutating func unanswered(_ request: Turn, _ promise: Promise) {
        guard isInWindow(request.sent) else { return }
        let (end, overflow) = request.observed.addingReportingOverflow(scope.flight)
        let receiver = request.identity.flow.destination.name
        report.counts.delivered -= 1
        report.counts.inferred += 1
        deviate(
            .lost, 1, request.identity, leg(request), request.sent...(overflow ? .max : end),
            reason: "Handed to '\(receiver)', which never answered with '\(promise.answer)'.")
    }

    private mutating func answeredAgain(_ answer: Turn) {
        guard isInWindow(answer.sent) else { return }
        deviate(
            .duplicated, 1, answer.identity, leg(answer),
            answer.sent...max(answer.sent, answer.observed),
            reason: "'\(answer.identity.flow.source)' had given this answer before.")
    }

    private mutating func answeredOtherwise(
        _ request: Turn, _ answer: Turn, _ promise: Promise
    ) {
        guard isInWindow(answer.sent) else { return }
        let (one, other) = (record(at: request.place).content, record(at: answer.place).content)
        deviate(
            .corrupted, 1, answer.identity, leg(answer),
            answer.sent...max(answer.sent, answer.observed)
        ) {
            let difference = ContentDifference(one, other)
            return (
                promise.key.map { "$.\($0)" } ?? difference.path,
                "The answer to \(request.identity) is not what was asked: \(difference.reason)."
            )
        }
    }

    private mutating func answeredNothing(_ answer: Turn, _ promise: Promise) {
        guard isInWindow(answer.sent) else { return }
        deviate(
            .unexpected, 1, answer.identity, leg(answer),
            answer.sent...max(answer.sent, answer.observed),
            reason: "An answer to no '\(promise.request)' that "
                + "'\(answer.identity.flow.source)' was handed.")
    }
}
