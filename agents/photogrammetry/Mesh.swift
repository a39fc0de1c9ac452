import AgentRuntime
import JSON
import Messaging
import PointClouds
import Wire

/// Receives clouds, and says of each how many points it has, where they are and what its digest is.
final class Mesh: Agent {
    /// The type of the messages that say what a cloud is.
    static let summaryType = "mesh_summary"
    /// The type of the messages that say why a content is no cloud.
    static let refusalType = "mesh_refusal"
    /// Of more clouds than this only the number is kept.
    private static let cloudsMax = 100_000
    /// Of more malformed contents than this only the number is kept.
    private static let malformedMax = 100

    private struct Entry {
        let source: String
        let incarnation: UInt32
        let sequence: UInt64
        /// The summary, with the identity.
        let json: Value
    }

    private let destinations: [Address]
    private var clouds: [Entry] = []
    private var cloudCount: Int64 = 0
    private var malformed: [Value] = []
    private var malformedCount: Int64 = 0

    init(_ setup: AgentSetup) throws(AgentFailure) {
        destinations = try setup.destinations()
    }

    func handle(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError) {
        guard envelope.carriesPointCloud else { return }
        let reading: Result<Value, CloudContentError> = try outbox.receivePointCloud(envelope) {
            let content = [UInt8]($0)
            do throws(CloudContentError) {
                let cloud = try CloudContent.decode(content)
                return .success(CloudSummary(cloud, content: content).json)
            } catch {
                return .failure(error)
            }
        }
        let summary: Value
        switch reading {
        case .success(let json): summary = json
        case .failure(let error): return try refuse(envelope, error.description, outbox)
        }
        keep(envelope, summary)
        for destination in [.agent(envelope.source)] + destinations {
            try outbox.send(
                to: destination, type: Mesh.summaryType, content: Array(summary.canonical.utf8),
                encoding: .json, cause: envelope.identity)
        }
    }

    private func keep(_ envelope: Envelope, _ summary: Value) {
        cloudCount += 1
        guard clouds.count < Mesh.cloudsMax else { return }
        var members = summary.object ?? [:]
        members["source"] = .string(envelope.source)
        members["incarnation"] = Value(envelope.incarnation)
        members["sequence"] = Value(envelope.sequence)
        clouds.append(
            Entry(
                source: envelope.source, incarnation: envelope.incarnation,
                sequence: envelope.sequence, json: .object(members)))
    }

    private func refuse(
        _ envelope: Envelope, _ reason: String, _ outbox: Outbox
    ) throws(MessagingError) {
        malformedCount += 1
        if malformed.count < Mesh.malformedMax {
            outbox.log("\(envelope.identity): \(reason)")
            malformed.append([
                "identity": .string(envelope.identity.description), "reason": .string(reason),
            ])
        }
        let content: Value = ["error": .string(reason)]
        try outbox.send(
            to: .agent(envelope.source), type: Mesh.refusalType,
            content: Array(content.canonical.utf8), encoding: .json, cause: envelope.identity)
    }

    /// In the order of identities, so that the order of arrival does not show.
    func result() -> Value {
        let ordered = clouds.sorted {
            ($0.source, $0.incarnation, $0.sequence) < ($1.source, $1.incarnation, $1.sequence)
        }
        return [
            "clouds": .array(ordered.map(\.json)), "cloud_count": .integer(cloudCount),
            "malformed": .array(malformed), "malformed_count": .integer(malformedCount),
        ]
    }

    func state() -> Value { result() }

    func restore(_ state: Value) {
        clouds = (state["clouds"]?.array ?? []).compactMap { json in
            guard let source = json["source"]?.string,
                let incarnation = json["incarnation"]?.integer,
                let sequence = json["sequence"]?.integer
            else { return nil }
            return Entry(
                source: source, incarnation: UInt32(clamping: incarnation),
                sequence: UInt64(clamping: sequence), json: json)
        }
        cloudCount = state["cloud_count"]?.integer ?? 0
        malformed = state["malformed"]?.array ?? []
        malformedCount = state["malformed_count"]?.integer ?? 0
    }
}
