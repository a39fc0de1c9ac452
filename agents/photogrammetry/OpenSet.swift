import JSON
import PointClouds
import Reconstruction
import Wire

/// The views of one scene, as far as they have come.
final class OpenSet {
    /// All open sets together may take as much of a state: the control plane carries 64 MB.
    static let stateMax = 48 << 20

    let scene: UInt64
    /// How many views there will be.
    let views: Int
    let grid: VoxelGrid
    /// The envelope of each view that came.
    private var identities: [Int: Identity] = [:]

    init(scene: UInt64, views: Int, voxel: Double) {
        self.scene = scene
        self.views = views
        grid = VoxelGrid(voxel: voxel)
    }

    func has(_ view: Int) -> Bool { identities[view] != nil }

    var isComplete: Bool { identities.count == views }

    /// The views that have not come, by number.
    var missing: [Int] { (0..<views).filter { identities[$0] == nil } }

    /// What the merged cloud answers: the view with the lowest number, not the one that came last.
    var cause: Identity? { identities.min { $0.key < $1.key }?.value }

    func add(_ content: CloudContent, _ identity: Identity) throws(GridError) {
        try grid.add(content)
        identities[content.header.view] = identity
    }

    /// The set, for the next incarnation.
    var state: Value {
        let came = identities.sorted { $0.key < $1.key }.map { view, identity -> Value in
            [
                "view": Value(view), "source": .string(identity.flow.source),
                "destination": .string(identity.flow.destination.description),
                "incarnation": Value(identity.incarnation), "sequence": Value(identity.sequence),
            ]
        }
        return [
            "scene": Value(scene), "views": Value(views), "came": .array(came),
            "grid": .string(Base64.encode(grid.encoded)),
        ]
    }

    /// How much of a state a set's state takes, nearly.
    static func size(of state: Value) -> Int { state["grid"]?.string?.utf8.count ?? 0 }

    /// The set that `state` came from; nil where it is something else.
    init?(restoring state: Value) {
        guard let scene = state["scene"]?.integer.flatMap({ UInt64(exactly: $0) }),
            let views = state["views"]?.integer.flatMap({ Int(exactly: $0) }),
            (1...CloudHeader.viewsMax).contains(views),
            let bytes = state["grid"]?.string.flatMap(Base64.decode),
            let grid = VoxelGrid(decoding: bytes)
        else { return nil }
        self.scene = scene
        self.views = views
        self.grid = grid
        for value in state["came"]?.array ?? [] {
            guard let view = value["view"]?.integer.flatMap({ Int(exactly: $0) }),
                (0..<views).contains(view), let source = value["source"]?.string,
                let destination = value["destination"]?.string,
                let incarnation = value["incarnation"]?.integer.flatMap({ UInt32(exactly: $0) }),
                let sequence = value["sequence"]?.integer.flatMap({ UInt64(exactly: $0) })
            else { return nil }
            identities[view] = Identity(
                flow: Flow(source: source, destination: Address(destination)),
                incarnation: incarnation, sequence: sequence)
        }
    }
}
