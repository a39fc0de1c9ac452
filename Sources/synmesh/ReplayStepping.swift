import ArgumentParser
import Foundation
import Histories
import JSON
import Recording
import Scenarios
import Supervision
import Threads
import Wire

/// A recording played message by message, each when somebody says so.
struct ReplayStepping {
    private let loaded: Scenario.Loaded
    private let sends: RecordedSends
    private let until: UInt64?
    /// How long a message may take to arrive before the next one is asked for.
    private static let patience = Duration.seconds(1)

    init(_ loaded: Scenario.Loaded, _ sends: RecordedSends, until: UInt64?) {
        self.loaded = loaded
        self.sends = sends
        self.until = until
    }

    private struct Step: Sendable {
        let identity: Identity
        let type: String
        let content: String
        let agent: String
        /// The number of the message among those of its agent.
        let number: Int
    }

    /// Plays until the recording or the input ends.
    ///
    /// - Returns: The run's directory.
    /// - Throws: What keeps the mesh from starting, or a message from being sent.
    func play(options: RunOptions) async throws -> String {
        guard let guardian = Synmesh.guardian else { throw ExitStatus.defect.code }
        let steps = try steps()
        let session = try MeshSession(
            loaded.topology, named: "replay", guardian: guardian, options: options)
        try await session.start()
        printError(
            "\(steps.count) messages: Enter sends the next, a number so many, 'q' ends it")
        var left = 0
        do {
            for (number, step) in steps.enumerated() {
                print(
                    "\(number + 1)/\(steps.count)  \(step.identity) \(step.type)  \(step.content)")
                if left == 0 {
                    guard let word = try await Self.line(), word != "q" else { break }
                    left = Int(word).map { max(1, $0) } ?? 1
                }
                left -= 1
                try await send(step, session)
                for receiver in try await arrivals(of: step, in: session.directory) {
                    print("    delivered to \(receiver)")
                }
            }
        } catch {
            _ = await session.stop()
            throw error
        }
        let certificate = await session.stop()
        if !certificate.isClean { printError("left behind: \(certificate)") }
        return session.directory
    }

    private func send(_ step: Step, _ session: MeshSession) async throws {
        guard let load = loaded.scenario.steps.first?.load.first(where: { $0.agent == step.agent })
        else { return }
        let answer = try await session.command(
            "load", to: step.agent, load.arguments(start: step.number, count: 1),
            timeout: .seconds(60))
        if let failure = answer["failure"]?.string { printError("    not sent: \(failure)") }
    }

    /// Who was delivered a message, as soon as somebody was.
    private func arrivals(of step: Step, in directory: String) async throws -> [String] {
        let deadline = ContinuousClock.now + Self.patience
        while ContinuousClock.now < deadline {
            let found = try await onDedicatedThread(named: "arrivals") {
                try Self.receivers(of: step.identity, in: directory)
            }
            if !found.isEmpty { return found }
            try await Task.sleep(for: .milliseconds(10))
        }
        return []
    }

    /// A message has another incarnation here than it had, and the same place in its flow.
    private static func receivers(
        of identity: Identity, in directory: String
    ) throws -> [String] {
        var cursor = try MergedCursor(paths: try RunDirectory(directory).histories())
        var receivers: Set<String> = []
        while let item = try cursor.next() {
            guard case .record(let record) = item else { continue }
            let kind = cursor.kinds[record.kind]
            if kind.direction == .delivered, kind.flow == identity.flow,
                record.view.sequence == identity.sequence
            {
                receivers.insert(kind.agent)
            }
        }
        return receivers.sorted()
    }

    /// All messages in the order in which they were sent.
    private func steps() throws -> [Step] {
        let playing = Set(loaded.scenario.steps.first?.load.map(\.agent) ?? [])
        let paths = Set(sends.senders.filter { playing.contains($0.key) }.flatMap(\.value.paths))
            .sorted()
        var cursor = try MergedCursor(paths: paths)
        var (steps, numbers, sequences): ([Step], [String: Int], [Flow: UInt64]) = ([], [:], [:])
        while let item = try cursor.next() {
            guard case .record(let record) = item else { continue }
            let kind = cursor.kinds[record.kind]
            let source = kind.flow.source
            guard kind.direction == .sent, kind.lane == .primary, playing.contains(source),
                sends.senders[source]?.paths.contains(paths[record.file]) ?? false,
                until.map({ record.view.sent < sends.origin &+ $0 }) ?? true
            else { continue }
            sequences[kind.flow, default: 0] += 1
            let text = RecordDocument.excerpt(record.view, kind)
            steps.append(
                Step(
                    identity: Identity(
                        flow: kind.flow, incarnation: 1, sequence: sequences[kind.flow] ?? 1),
                    type: kind.type,
                    content: text.count > 100 ? text.prefix(99) + "…" : text, agent: source,
                    number: numbers[source] ?? 0))
            numbers[source, default: 0] += 1
        }
        return steps
    }

    /// A line of standard input; nil at its end.
    private static func line() async throws -> String? {
        try await onDedicatedThread(named: "input") {
            readLine()?.trimmingCharacters(in: .whitespaces)
        }
    }
}
