import AgentRuntime
import JSON
import Messaging
import PointClouds
import Wire

/// Sends clouds: the one of a file, or scenes that it computes.
final class Camera: Agent {
    /// Where the clouds come from.
    enum Source {
        case file(content: [UInt8], points: Int)
        case scene(Scene.Shape, points: Int)
    }

    /// More clouds than this are not waited for by name.
    private static let awaitedMax = 10_000

    private let setup: AgentSetup
    private let source: Source
    private let destinations: [Address]
    /// The digests of clouds that no summary has come for, by the identity of their envelope.
    private var awaited: [String: String] = [:]
    private var counts: [String: Int64] = [:]

    init(_ setup: AgentSetup) throws(AgentFailure) {
        self.setup = setup
        destinations = try setup.texts("to").map(Address.agent)
        source = try Camera.source(setup)
    }

    private static func source(_ setup: AgentSetup) throws(AgentFailure) -> Source {
        if let setting = setup.settings["cloud"], setting != .null {
            guard let path = setting.string else {
                throw AgentFailure(.settings, "the setting 'cloud' is not a path")
            }
            let cloud = try CloudFile.read(path)
            return .file(content: CloudContent.encode(cloud), points: cloud.count)
        }
        guard let scene = setup.settings["scene"], scene.object != nil else {
            throw AgentFailure(
                .settings,
                "a camera needs the setting 'cloud' (a PLY file) or 'scene' "
                    + "({points, shape})")
        }
        guard let points = scene["points"]?.integer.flatMap({ Int(exactly: $0) }),
            (1...Scene.pointsMax).contains(points)
        else {
            throw AgentFailure(
                .settings,
                "'points' of the setting 'scene' is not a number from 1 through \(Scene.pointsMax)")
        }
        let name = scene["shape"]?.string ?? Scene.Shape.sphere.rawValue
        guard let shape = Scene.Shape(rawValue: name) else {
            throw AgentFailure(
                .settings,
                "the shape '\(name)' is not one of "
                    + Scene.Shape.allCases.map(\.rawValue).joined(separator: ", "))
        }
        return .scene(shape, points: points)
    }

    /// Compares what the mesh says of a cloud with what was sent.
    func handle(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError) {
        switch envelope.type {
        case Mesh.summaryType:
            guard let cause = envelope.cause,
                let expected = awaited.removeValue(forKey: cause.description)
            else {
                counts["unasked", default: 0] += 1
                return
            }
            let digest = (try? Value(parsing: envelope.content))?["digest"]?.string
            counts[digest == expected ? "confirmed" : "mismatched", default: 0] += 1
            if digest != expected {
                outbox.log("\(cause): sent \(expected), and \(envelope.source) got another cloud")
            }
        case Mesh.refusalType:
            counts["refused", default: 0] += 1
        default:
            counts["unknown", default: 0] += 1
        }
    }

    func load(_ order: LoadOrder) throws(LoadError) -> any Load {
        CameraLoad(
            destinations: destinations, source: source,
            seed: Seed.derived(from: setup.seed, setup.name)
        ) { [unowned self] identity, digest in
            counts["sent", default: 0] += 1
            if awaited.count < Camera.awaitedMax { awaited[identity.description] = digest }
        }
    }

    func result() -> Value {
        var members = counts.mapValues(Value.integer)
        members["awaited"] = Value(awaited.count)
        return .object(members)
    }

    func state() -> Value {
        [
            "counts": .object(counts.mapValues(Value.integer)),
            "awaited": .object(awaited.mapValues(Value.string)),
        ]
    }

    func restore(_ state: Value) {
        counts = (state["counts"]?.object ?? [:]).compactMapValues(\.integer)
        awaited = (state["awaited"]?.object ?? [:]).compactMapValues(\.string)
    }
}

/// One cloud a message.
private final class CameraLoad: SharedLoad {
    let destinations: [Address]
    private let source: Camera.Source
    private let seed: UInt64
    private let sent: (Identity, String) -> Void
    /// The cloud that was made last: it goes to every destination.
    private var latest: (index: Int, content: [UInt8], points: Int, digest: String)?

    init(
        destinations: [Address], source: Camera.Source, seed: UInt64,
        sent: @escaping (Identity, String) -> Void
    ) {
        self.destinations = destinations
        self.source = source
        self.seed = seed
        self.sent = sent
    }

    func send(
        _ index: Int, to destinations: [Address], _ outbox: Outbox
    ) throws(MessagingError) -> Int {
        let cloud = cloud(index)
        let identities = try outbox.sendPointCloud(
            to: destinations, byteCount: cloud.content.count, points: cloud.points
        ) { target in
            target.copyBytes(from: cloud.content)
        }
        for identity in identities { sent(identity, cloud.digest) }
        return identities.count
    }

    private func cloud(_ index: Int) -> (content: [UInt8], points: Int, digest: String) {
        if let latest {
            // A file's cloud is the same every time.
            if case .file = source { return (latest.content, latest.points, latest.digest) }
            if latest.index == index { return (latest.content, latest.points, latest.digest) }
        }
        let (content, points) =
            switch source {
            case .file(let content, let points): (content, points)
            case .scene(let shape, let points):
                (
                    CloudContent.encode(
                        Scene(
                            shape: shape, points: points,
                            seed: Seed.derived(from: seed, index: index)
                        ).cloud()), points
                )
            }
        let digest = CloudSummary.digest(of: content)
        latest = (index, content, points, digest)
        return (content, points, digest)
    }
}
