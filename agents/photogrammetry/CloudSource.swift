import AgentRuntime
import JSON
import PointClouds

/// Where a camera's clouds come from: a user's file, or scenes that are computed.
struct CloudSource {
    private enum Points {
        case file(PointCloud)
        case scene(Scene.Shape, points: Int)
    }

    /// More scenes than this are as good as ever new ones.
    static let cycleMax = 1_000_000

    private let points: Points
    /// Which part of a scene the camera sees; nil is all of it.
    let view: View?
    private let pose: Pose
    private let seed: UInt64
    /// After so many the scenes begin again; nil: they never do.
    private let cycle: Int?

    init(_ setup: AgentSetup) throws(AgentFailure) {
        view = try setup.view()
        let pose = try setup.pose()
        if let setting = setup.settings["cloud"], setting != .null {
            guard let path = setting.string else {
                throw AgentFailure(.settings, "the setting 'cloud' is not a path")
            }
            points = .file(try CloudFile.read(path))
            self.pose = pose ?? .identity
            cycle = nil
        } else {
            let scene = try CloudSource.scene(setup)
            points = .scene(scene.shape, points: scene.points)
            cycle = try CloudSource.cycle(setup)
            guard pose == nil else {
                throw AgentFailure(
                    .settings,
                    "'pose' says how a file of the setting 'cloud' was measured; the pose of a "
                        + "scene's camera follows from 'view'")
            }
            self.pose = view.map(scene.pose) ?? .identity
        }
        // Cameras with a view look at one scene, whatever they are called; others at their own.
        seed = Seed.derived(from: setup.seed, view == nil ? setup.name : "scene")
    }

    private static func scene(_ setup: AgentSetup) throws(AgentFailure) -> Scene {
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
        return Scene(shape: shape, points: points, seed: 0)
    }

    private static func cycle(_ setup: AgentSetup) throws(AgentFailure) -> Int? {
        guard let setting = setup.settings["scene"]?["cycle"], setting != .null else { return nil }
        guard let cycle = setting.integer.flatMap({ Int(exactly: $0) }),
            (1...cycleMax).contains(cycle)
        else {
            throw AgentFailure(
                .settings,
                "'cycle' of the setting 'scene' is not a number from 1 through \(cycleMax)")
        }
        return cycle
    }

    /// What stands before the points of message number `index`.
    func header(_ index: Int) -> CloudHeader {
        var header =
            switch points {
            case .file(let cloud): CloudHeader(cloud)
            case .scene(_, let points): CloudHeader(count: points, scalar: .single)
            }
        header.pose = pose
        if let view {
            header.scene = UInt64(index)
            header.view = view.index
            header.views = view.count
        }
        return header
    }

    /// Writes the content of message number `index`, which `header` describes.
    func write(_ header: CloudHeader, _ index: Int, to target: UnsafeMutableRawBufferPointer) {
        header.write(to: target)
        let place = UnsafeMutableRawBufferPointer(rebasing: target[CloudHeader.size...])
        switch points {
        case .file(let cloud): cloud.writePoints(to: place)
        case .scene(let shape, let points):
            let number = cycle.map { index % $0 } ?? index
            Scene(shape: shape, points: points, seed: Seed.derived(from: seed, index: number))
                .write(view, to: place)
        }
    }
}

/// A user's PLY file.
enum CloudFile {
    /// More is refused, since a file is read whole.
    static let sizeMax = 2 << 30

    /// The cloud of a file.
    static func read(_ path: String) throws(AgentFailure) -> PointCloud {
        guard let bytes = try AgentMain.contents(of: path, atMost: sizeMax) else {
            throw AgentFailure(.settings, "there is no file '\(path)'")
        }
        do throws(PLYError) {
            return try PLY.read(bytes)
        } catch {
            throw AgentFailure(.settings, "\(path): \(error)")
        }
    }
}
