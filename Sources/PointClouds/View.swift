/// One of several cameras around a scene.
///
/// They stand evenly around a sphere or a torus, four units from its middle, and look inward; over a
/// terrain they hang in a row, eight units high, and look down. Each sees half as much again as its
/// own share, so that it overlaps with its neighbours on both sides.
public struct View: Hashable, Sendable {
    /// Which of the cameras, from 0.
    public let index: Int
    /// How many there are.
    public let count: Int

    /// A camera; nil where there is none of that number, or there are more than
    /// `CloudHeader.viewsMax`.
    public init?(_ index: Int, of count: Int) {
        guard (1...CloudHeader.viewsMax).contains(count), (0..<count).contains(index) else {
            return nil
        }
        self.index = index
        self.count = count
    }

    /// Which part of a full turn, or of a terrain's width, the camera stands at.
    fileprivate var part: Double { Double(index) / Double(count) }

    func pose(_ shape: Scene.Shape) -> Pose {
        switch shape {
        case .sphere, .torus:
            let (sine, cosine) = sineAndCosine(ofTurns: part)
            let half = sineAndCosine(ofTurns: part / 2)
            return Pose(
                rotation: Pose.Rotation(w: half.cosine, x: 0, y: 0, z: half.sine)
                    // Standing on the x axis, looking at the origin, z of the world upwards.
                    * Pose.Rotation(w: 0.5, x: -0.5, y: -0.5, z: 0.5),
                position: PointCloud.Point(x: 4 * cosine, y: 4 * sine, z: 0))
        case .terrain:
            return Pose(
                rotation: Pose.Rotation(w: 0, x: 1, y: 0, z: 0),
                position: PointCloud.Point(
                    x: (part + 0.5 / Double(count)) * 10, y: 5, z: 8))
        }
    }
}

/// What a scene needs of a view for each of many points.
struct Camera {
    let matrix: PoseMatrix
    /// From where to where a terrain is seen.
    let strip: (Double, Double)
    private let isAround: Bool
    private let cosine, sine: Double
    /// The cosine of half the angle that is seen.
    private let reach: Double

    init(_ view: View, _ shape: Scene.Shape) {
        matrix = view.pose(shape).matrix
        let width = 1 / Double(view.count)
        strip = (
            max(0, (view.part - width / 4) * 10), min(10, (view.part + width * 1.25) * 10)
        )
        isAround = shape == .terrain || view.count == 1
        (sine, cosine) = sineAndCosine(ofTurns: view.part)
        reach = sineAndCosine(ofTurns: width * 0.75).cosine
    }

    @inline(__always)
    func sees(_ x: Double, _ y: Double) -> Bool {
        isAround || x * cosine + y * sine >= reach * (x * x + y * y).squareRoot()
    }
}
