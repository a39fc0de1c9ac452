import AgentRuntime
import JSON
import Messaging
import PointClouds
import Reconstruction
import Wire

/// Receives clouds, and says of each how many points it has, where they are, what its digest is, and
/// how large the surface is that they lie on.
///
/// A merged cloud has its voxels and normals with it. The surface of a cloud as measured is computed
/// only where the setting `voxel` says how finely.
final class Mesh: Agent {
    /// The type of the messages that say what a cloud is.
    static let summaryType = "mesh_summary"
    /// Of more clouds than this only the number is kept.
    private static let cloudsMax = 100_000

    private struct Entry {
        let source: String
        let incarnation: UInt32
        let sequence: UInt64
        /// The summary, with the identity.
        let json: Value
    }

    private let destinations: [Address]
    private let voxel: Double?
    private var clouds: [Entry] = []
    private var cloudCount: Int64 = 0
    private var refusals = Refusals()

    init(_ setup: AgentSetup) throws(AgentFailure) {
        destinations = try setup.destinations()
        voxel = try setup.number("voxel", in: voxelRange)
    }

    func handle(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError) {
        guard envelope.carriesPointCloud else { return }
        let voxel = voxel
        let read = try outbox.receivePointCloud(envelope) { bytes in
            reading(bytes) { content in CloudReport(content, voxel: voxel).json }
        }
        switch read {
        case .success(let summary):
            keep(envelope, summary)
            for destination in [.agent(envelope.source)] + destinations {
                try outbox.send(
                    to: destination, type: Mesh.summaryType,
                    content: Array(summary.canonical.utf8), encoding: .json,
                    cause: envelope.identity)
            }
        case .failure(let refusal):
            try refusals.refuse(envelope, refusal.reason, outbox)
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

    /// In the order of identities, so that the order of arrival does not show.
    func result() -> Value {
        let ordered = clouds.sorted {
            ($0.source, $0.incarnation, $0.sequence) < ($1.source, $1.incarnation, $1.sequence)
        }
        var members = refusals.members
        members["clouds"] = .array(ordered.map(\.json))
        members["cloud_count"] = .integer(cloudCount)
        return .object(members)
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
        refusals.restore(state)
    }
}
