import AgentRuntime
import JSON
import Messaging
import PointClouds
import Reconstruction
import Wire

/// Finds the keypoints of each cloud, tells them, and passes the cloud on as it came.
///
/// Keypoints go out in the order in which clouds come in: that of a flow is fixed, that of several
/// cameras is not. So each view has a topic of its own under each of the agent's topics, and where
/// twins are to be compared, an agent that is told keypoints hears of one camera from each features.
final class Features: Agent {
    /// The type of the messages that list keypoints.
    static let keypointsType = "keypoints"

    private let destinations: [Address]
    private let topics: [String]
    /// Who gets the clouds themselves.
    private let forward: [Address]
    private let voxel: Double?
    private let limit: Int
    private var flows: [String: Tally] = [:]
    private var refusals = Refusals()

    /// What came from one sender.
    private struct Tally {
        var clouds: Int64 = 0
        var keypoints: Int64 = 0
        /// The sum of the digests of all lists: it depends on no order.
        var digest: UInt64 = 0
    }

    init(_ setup: AgentSetup) throws(AgentFailure) {
        destinations = try setup.texts("to").map(Address.agent)
        topics = try setup.texts("topics")
        forward = try setup.texts("forward").map(Address.agent)
        voxel = try setup.number("voxel", in: voxelRange)
        limit = try setup.integer("keypoints", in: 1...10_000, or: 64)
    }

    func handle(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError) {
        guard envelope.carriesPointCloud else { return }
        let found: Swift.Result<(header: CloudHeader, keypoints: Keypoints), Refusal>
        var kept: KeptCloud?
        if forward.isEmpty {
            found = try outbox.receivePointCloud(envelope, keypoints)
        } else {
            let cloud = try outbox.keepPointCloud(envelope)
            found = cloud.withBytes(keypoints)
            kept = cloud
        }
        switch found {
        case .success(let found):
            try tell(found.header, found.keypoints, envelope, outbox)
            if let kept {
                try outbox.forwardPointCloud(kept, to: forward, cause: envelope.identity)
            }
        case .failure(let refusal):
            try refusals.refuse(envelope, refusal.reason, outbox)
        }
    }

    private func keypoints(
        _ bytes: UnsafeRawBufferPointer
    ) -> Swift.Result<(header: CloudHeader, keypoints: Keypoints), Refusal> {
        reading(bytes) { content in
            guard let voxel = voxel ?? CloudSummary(content).voxel else {
                throw Refusal(reason: "the cloud has no extent, and so no keypoints")
            }
            let grid = VoxelGrid(voxel: voxel)
            try grid.add(content)
            return (content.header, Keypoints(Surfels(grid), limit: limit))
        }
    }

    private func tell(
        _ header: CloudHeader, _ keypoints: Keypoints, _ envelope: Envelope, _ outbox: Outbox
    ) throws(MessagingError) {
        var members = keypoints.json.object ?? [:]
        members["points"] = Value(header.count)
        members["scene"] = Value(header.scene)
        members["view"] = Value(header.view)
        let content = Array(Value.object(members).canonical.utf8)
        var tally = flows[envelope.source] ?? Tally()
        tally.clouds += 1
        tally.keypoints += Int64(keypoints.strongest.count)
        tally.digest &+= content.withUnsafeBytes { CloudContent.hash(of: $0) }
        flows[envelope.source] = tally
        let everywhere =
            destinations + topics.map { .topic(header.views > 0 ? "\($0).\(header.view)" : $0) }
        for destination in everywhere {
            try outbox.send(
                to: destination, type: Features.keypointsType, content: content, encoding: .json,
                cause: envelope.identity)
        }
    }

    func result() -> Value {
        var members = refusals.members
        members["flows"] = .object(
            flows.mapValues { tally in
                [
                    "clouds": .integer(tally.clouds), "keypoints": .integer(tally.keypoints),
                    "digest": .integer(Int64(bitPattern: tally.digest)),
                ]
            })
        return .object(members)
    }

    func state() -> Value { result() }

    func restore(_ state: Value) {
        refusals.restore(state)
        flows = (state["flows"]?.object ?? [:]).mapValues { value in
            Tally(
                clouds: value["clouds"]?.integer ?? 0, keypoints: value["keypoints"]?.integer ?? 0,
                digest: UInt64(bitPattern: value["digest"]?.integer ?? 0))
        }
    }
}
