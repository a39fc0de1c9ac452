import AgentRuntime
import JSON
import PointClouds

/// The edges that voxels may have.
let voxelRange = 1e-9...1e9

extension AgentSetup {
    /// The setting `key`, a number within `range`; nil where it is absent.
    func number(
        _ key: String, in range: ClosedRange<Double>
    ) throws(AgentFailure) -> Double? {
        try AgentSetup.number(settings[key], key, in: range)
    }

    private static func number(
        _ value: Value?, _ name: String, in range: ClosedRange<Double>
    ) throws(AgentFailure) -> Double? {
        guard let value, value != .null else { return nil }
        guard let number = value.double, range.contains(number) else {
            throw AgentFailure(
                .settings,
                "the setting '\(name)' is \(value.canonical), not a number from "
                    + "\(range.lowerBound) through \(range.upperBound)")
        }
        return number
    }

    /// The settings `view` and `views`; nil where they are absent.
    func view() throws(AgentFailure) -> View? {
        let isGiven = ["view", "views"].map { settings[$0] ?? .null }.map { $0 != .null }
        guard isGiven != [false, false] else { return nil }
        let index = try integer("view", in: 0...CloudHeader.viewsMax - 1, or: -1)
        let count = try integer("views", in: 1...CloudHeader.viewsMax, or: 0)
        guard let view = View(index, of: count) else {
            throw AgentFailure(
                .settings,
                isGiven == [true, true]
                    ? "there is no view \(index) among \(count): 'view' counts from 0"
                    : "'view' (from 0) and 'views' (how many there are) go together")
        }
        return view
    }

    /// The setting `pose`; nil where it is absent.
    func pose() throws(AgentFailure) -> Pose? {
        guard let setting = settings["pose"], setting != .null else { return nil }
        guard setting.object != nil else {
            throw AgentFailure(
                .settings, "the setting 'pose' is not an object with x, y, z, yaw, pitch, roll")
        }
        func part(
            _ key: String, _ range: ClosedRange<Double>
        ) throws(AgentFailure) -> Double {
            try AgentSetup.number(setting[key], "pose.\(key)", in: range) ?? 0
        }
        let position = PointCloud.Point(
            x: try part("x", -1e12...1e12), y: try part("y", -1e12...1e12),
            z: try part("z", -1e12...1e12))
        return Pose(
            position: position, yaw: try part("yaw", -360...360),
            pitch: try part("pitch", -360...360), roll: try part("roll", -360...360))
    }
}
