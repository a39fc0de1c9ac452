import Foundation
import PointClouds
import Testing

private let views = (0..<3).compactMap { View($0, of: 3) }

/// The points of a view at their places in the world.
private func world(_ scene: Scene, _ view: View) -> [PointCloud.Point] {
    let cloud = scene.cloud(view)
    let matrix = scene.pose(view).matrix
    return (0..<cloud.count).map { index in
        let point = cloud[index]
        let (x, y, z) = matrix.toWorld(point.x, point.y, point.z)
        return PointCloud.Point(x: x, y: y, z: z)
    }
}

@Test("Angles have the sine and the cosine that mathematics gives them")
func angles() {
    for degrees in stride(from: -360.0, through: 360, by: 7.5) {
        let (x, y, _) = Pose(position: PointCloud.Point(x: 0, y: 0, z: 0), yaw: degrees).matrix
            .toWorld(1, 0, 0)
        #expect(abs(x - cos(degrees * .pi / 180)) < 1e-15, "\(degrees)")
        #expect(abs(y - sin(degrees * .pi / 180)) < 1e-15, "\(degrees)")
    }
}

@Test("Roll, pitch and yaw turn about x, y and z, in this order")
func turns() {
    let here = PointCloud.Point(x: 0, y: 0, z: 0)
    func close(_ one: (Double, Double, Double), _ two: (Double, Double, Double)) -> Bool {
        abs(one.0 - two.0) + abs(one.1 - two.1) + abs(one.2 - two.2) < 1e-14
    }
    #expect(close(Pose(position: here, yaw: 90).matrix.toWorld(1, 0, 0), (0, 1, 0)))
    #expect(close(Pose(position: here, yaw: 0, pitch: 90).matrix.toWorld(1, 0, 0), (0, 0, -1)))
    #expect(close(Pose(position: here, yaw: 0, roll: 90).matrix.toWorld(0, 1, 0), (0, 0, 1)))
    let all = Pose(position: PointCloud.Point(x: 1, y: 2, z: 3), yaw: 90, pitch: 90, roll: 90)
    // z: by roll to -y, by pitch the same, by yaw to x.
    #expect(close(all.matrix.toWorld(0, 0, 1), (2, 2, 3)))
}

@Test(
    "Every view is of the scene's own surface, where the camera looks",
    arguments: Scene.Shape.allCases)
func onSurface(shape: Scene.Shape) {
    let scene = Scene(shape: shape, points: 2_000, seed: 4)
    for view in views {
        let cloud = scene.cloud(view)
        for (index, point) in world(scene, view).enumerated() {
            // In front of the camera.
            #expect(cloud[index].z > 1)
            switch shape {
            case .sphere:
                let square = point.x * point.x + point.y * point.y + point.z * point.z
                #expect(abs(square - 1) < 1e-5)
            case .torus:
                let across = (point.x * point.x + point.y * point.y).squareRoot() - 1
                #expect(abs((across * across + point.z * point.z).squareRoot() - 0.35) < 1e-5)
            case .terrain:
                #expect(point.z > -1e-5 && point.z < 2)
                let left = Double(view.index) * 10 / 3 - 10.0 / 12
                #expect(point.x > left - 1e-5 && point.x < left + 5 + 1e-5)
            }
        }
    }
}

@Test("Neighbours overlap, and together they see all around", arguments: Scene.Shape.allCases)
func overlap(shape: Scene.Shape) {
    let scene = Scene(shape: shape, points: 20_000, seed: 4)
    // Which twelfths of the turn, or of the terrain, each view sees.
    let seen = views.map { view in
        Set(
            world(scene, view).map { point in
                shape == .terrain
                    ? Int(point.x / 10 * 12)
                    : (Int((atan2(point.y, point.x) / (2 * .pi) * 12).rounded(.down)) + 12) % 12
            })
    }
    #expect(Set(seen.joined()).count == 12)
    #expect(!seen[0].isDisjoint(with: seen[1]) && !seen[1].isDisjoint(with: seen[2]))
    #expect(seen.allSatisfy { $0.count < 12 })
}

@Test("Two views are other points of one scene, one view is the same every time")
func repeatable() {
    let scene = Scene(shape: .terrain, points: 200, seed: 9)
    #expect(scene.cloud(views[0]) == scene.cloud(views[0]))
    #expect(scene.cloud(views[0]) != scene.cloud(views[1]))
    #expect(scene.cloud(View(0, of: 1)) != scene.cloud())
    #expect(View(3, of: 3) == nil && View(-1, of: 3) == nil && View(0, of: 33) == nil)
}
