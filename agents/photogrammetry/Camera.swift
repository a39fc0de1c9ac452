import AgentRuntime
import JSON
import Messaging
import PointClouds
import Wire

/// Sends clouds: the one of a file, or scenes that it computes, all around or as one of several
/// views.
///
/// A cloud without a view is answered by a mesh, and the answer compared with what was sent. Views
/// become part of something larger, and nobody answers them.
final class Camera: Agent {
    /// More clouds than this are not waited for by name.
    private static let awaitedMax = 10_000

    private let source: CloudSource
    private let destinations: [Address]
    /// The digests of clouds that no summary has come for, by the identity of their envelope.
    private var awaited: [String: String] = [:]
    private var counts: [String: Int64] = [:]

    init(_ setup: AgentSetup) throws(AgentFailure) {
        destinations = try setup.texts("to").map(Address.agent)
        source = try CloudSource(setup)
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
        case Refusals.type:
            counts["refused", default: 0] += 1
        default:
            counts["unknown", default: 0] += 1
        }
    }

    func load(_ order: LoadOrder) throws(LoadError) -> any Load {
        CameraLoad(destinations: destinations, source: source) {
            [unowned self] identity, digest in
            counts["sent", default: 0] += 1
            guard let digest, awaited.count < Camera.awaitedMax else { return }
            awaited[identity.description] = digest
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

/// One cloud a message, written where it is read from: into the message, or into shared memory.
private final class CameraLoad: SharedLoad {
    let destinations: [Address]
    private let source: CloudSource
    /// Told of each envelope, with the cloud's digest where an answer is awaited.
    private let sent: (Identity, String?) -> Void

    init(
        destinations: [Address], source: CloudSource, sent: @escaping (Identity, String?) -> Void
    ) {
        self.destinations = destinations
        self.source = source
        self.sent = sent
    }

    func send(
        _ index: Int, to destinations: [Address], _ outbox: Outbox
    ) throws(MessagingError) -> Int {
        let header = source.header(index)
        var digest: String?
        let identities = try outbox.sendPointCloud(
            to: destinations, byteCount: header.contentSize, points: header.count
        ) { target in
            source.write(header, index, to: target)
            if source.view == nil {
                digest = CloudContent.digest(of: UnsafeRawBufferPointer(target))
            }
        }
        for identity in identities { sent(identity, digest) }
        return identities.count
    }
}
