import AgentRuntime
import JSON
import Messaging
import PointClouds
import Reconstruction
import Wire

/// Merges the views of a scene into one cloud: one point a voxel, with its normal.
///
/// A set is complete when each view of its scene is in. Views are summed up as they arrive, in whole
/// numbers, so that neither the order of arrival shows nor a view has to be kept. Views with one
/// number come from their camera in order, so that sets are complete in the order of their numbers
/// too.
final class Dense: Agent {
    /// Of more sets than this only the number is kept.
    private static let setsMax = 100_000
    /// Of more evicted ones only the number is kept.
    private static let evictedMax = 100

    private let destinations: [Address]
    /// How many views a scene has; nil is what each view says.
    private let views: Int?
    private let voxel: Double
    private let openMax: Int
    /// In the order in which their first view came.
    private var open: [OpenSet] = []
    private var sets: [Value] = []
    private var setCount: Int64 = 0
    private var unsentCount: Int64 = 0
    private var evicted: [Value] = []
    private var evictedCount: Int64 = 0
    private var refusals = Refusals()

    init(_ setup: AgentSetup) throws(AgentFailure) {
        destinations = try setup.texts("to").map(Address.agent)
        let views = try setup.integer("views", in: 0...CloudHeader.viewsMax, or: 0)
        self.views = views == 0 ? nil : views
        guard let voxel = try setup.number("voxel", in: voxelRange) else {
            throw AgentFailure(
                .settings, "a dense needs the setting 'voxel', the edge of its voxels")
        }
        self.voxel = voxel
        openMax = try setup.integer("sets", in: 1...1_000, or: 8)
    }

    func handle(_ envelope: Envelope, _ outbox: Outbox) throws(MessagingError) {
        guard envelope.carriesPointCloud else { return }
        let added = try outbox.receivePointCloud(envelope) { bytes in
            reading(bytes) { content in try add(content, envelope.identity) }
        }
        switch added {
        case .success(let set):
            while isOverfull { evict("more was open than there is room for", outbox.log) }
            if set.isComplete { try finish(set, outbox) }
        case .failure(let refusal):
            try refusals.refuse(envelope, refusal.reason, outbox)
        }
    }

    /// Adds a view to the first set of its scene that lacks it.
    private func add(_ content: CloudContent, _ identity: Identity) throws -> OpenSet {
        let header = content.header
        let count = max(header.views, 1)
        guard views == nil || views == count else {
            throw Refusal(
                reason: "it is view \(header.view) of \(count), and the setting 'views' is "
                    + "\(views ?? 0)")
        }
        let known = open.first {
            $0.scene == header.scene && $0.views == count && !$0.has(header.view)
        }
        let set = known ?? OpenSet(scene: header.scene, views: count, voxel: voxel)
        do {
            try set.add(content, identity)
        } catch {
            // A part of the view is in, and cannot be taken out again.
            open.removeAll { $0 === set }
            if known != nil { note(set, "a view does not fit into the grid") }
            throw error
        }
        if known == nil { open.append(set) }
        return set
    }

    private var isOverfull: Bool {
        guard open.count > 1 else { return false }
        return open.count > openMax
            || open.reduce(0) { $0 + $1.grid.count } > VoxelGrid.voxelsMax
    }

    /// Gives up the set that has been open for longest.
    private func evict(_ reason: String, _ log: (String) -> Void) {
        let set = open.removeFirst()
        note(set, reason)
        log("scene \(set.scene) is given up, views \(set.missing) never came: \(reason)")
    }

    private func note(_ set: OpenSet, _ reason: String) {
        evictedCount += 1
        guard evicted.count < Dense.evictedMax else { return }
        evicted.append([
            "scene": Value(set.scene), "missing": .array(set.missing.map { Value($0) }),
            "reason": .string(reason),
        ])
    }

    private func finish(_ set: OpenSet, _ outbox: Outbox) throws(MessagingError) {
        open.removeAll { $0 === set }
        let surfels = Surfels(set.grid)
        let header = surfels.header(scene: set.scene)
        var digest: String?
        func write(_ target: UnsafeMutableRawBufferPointer) {
            surfels.write(header, to: target)
            digest = CloudContent.digest(of: UnsafeRawBufferPointer(target))
        }
        var problem: MessagingError?
        if destinations.isEmpty {
            let content = UnsafeMutableRawBufferPointer.allocate(
                byteCount: header.contentSize, alignment: 16)
            defer { content.deallocate() }
            write(content)
        } else {
            do throws(MessagingError) {
                try outbox.sendPointCloud(
                    to: destinations, byteCount: header.contentSize, points: header.count,
                    cause: set.cause, fill: write)
            } catch {
                problem = error
                unsentCount += 1
            }
        }
        setCount += 1
        if sets.count < Dense.setsMax {
            sets.append([
                "scene": Value(set.scene), "views": Value(set.views),
                "measured": Value(set.grid.points), "points": Value(surfels.count),
                "digest": digest.map(Value.string) ?? .null,
            ])
        }
        if let problem { throw problem }
    }

    func result() -> Value {
        var members = refusals.members
        members["sets"] = .array(sets)
        members["set_count"] = .integer(setCount)
        members["unsent_count"] = .integer(unsentCount)
        members["evicted"] = .array(evicted)
        members["evicted_count"] = .integer(evictedCount)
        members["open"] = .array(
            open.map { set in
                [
                    "scene": Value(set.scene), "missing": .array(set.missing.map { Value($0) }),
                ]
            })
        return .object(members)
    }

    /// Open sets go along: an agent may be moved between two views of a scene.
    func state() -> Value {
        // What is given up here would not fit into the message that carries the state.
        var encoded = open.map(\.state)
        while encoded.reduce(0, { $0 + OpenSet.size(of: $1) }) > OpenSet.stateMax {
            note(open.removeFirst(), "it does not fit into the state of a move")
            encoded.removeFirst()
        }
        var members = result().object ?? [:]
        members["grids"] = .array(encoded)
        return .object(members)
    }

    func restore(_ state: Value) {
        refusals.restore(state)
        sets = state["sets"]?.array ?? []
        setCount = state["set_count"]?.integer ?? 0
        unsentCount = state["unsent_count"]?.integer ?? 0
        evicted = state["evicted"]?.array ?? []
        evictedCount = state["evicted_count"]?.integer ?? 0
        for value in state["grids"]?.array ?? [] {
            if let set = OpenSet(restoring: value) {
                open.append(set)
            } else {
                evictedCount += 1
                evicted.append([
                    "scene": value["scene"] ?? .null, "missing": [],
                    "reason": "its state cannot be read",
                ])
            }
        }
    }
}
