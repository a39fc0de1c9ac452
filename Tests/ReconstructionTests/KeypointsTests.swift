import JSON
import PointClouds
import Reconstruction
import Testing

/// The surface of a cube of side 1, evenly measured.
private let cube: PointCloud = {
    var values: [Double] = []
    let steps = 60
    for i in 0...steps {
        for j in 0...steps {
            let (a, b) = (Double(i) / Double(steps), Double(j) / Double(steps))
            for side in [0.0, 1] {
                values += [a, b, side]
                values += [a, side, b]
                values += [side, a, b]
            }
        }
    }
    return PointCloud(.double(values))
}()

@Test("The strongest keypoints of a cube are its eight corners")
func corners() throws {
    let surfels = Surfels(try grid(cube, voxel: 0.07))
    let keypoints = Keypoints(surfels, limit: 8)
    #expect(keypoints.strongest.count == 8 && keypoints.found >= 8)
    var corners: Set<Int> = []
    for keypoint in keypoints.strongest {
        let place = keypoint.position
        for number in [place.x, place.y, place.z] { #expect(min(number, 1 - number) < 0.08) }
        corners.insert(
            Int(place.x.rounded()) + 2 * Int(place.y.rounded()) + 4 * Int(place.z.rounded()))
    }
    #expect(corners.count == 8)
    let curvatures = keypoints.strongest.map(\.curvature)
    #expect(curvatures == curvatures.sorted(by: >))
}

@Test("A plane has no keypoints within it")
func flat() throws {
    var values: [Double] = []
    for index in 0..<10_000 {
        values += [Double(index % 100) / 50, Double(index / 100) / 50, 0.123]
    }
    #expect(
        Keypoints(Surfels(try grid(PointCloud(.double(values)), voxel: 0.1)), limit: 5).found == 0)
}

@Test("As many keypoints are told as were asked for, the others are counted")
func limit() throws {
    let surfels = Surfels(
        try grid(Scene(shape: .terrain, points: 20_000, seed: 1).cloud(), voxel: 0.1))
    let all = Keypoints(surfels, limit: 10_000)
    let few = Keypoints(surfels, limit: 3)
    #expect(few.strongest == Array(all.strongest.prefix(3)))
    #expect(few.found == all.found && all.found == all.strongest.count && all.found > 3)
    #expect(few.json["keypoints"]?.array?.count == 3)
    #expect(few.json["found"] == .init(all.found))
}
