import PointClouds
import Randomness
import Testing

@Test(
    "A scene is the same bit for bit on every machine and in every build",
    arguments: [
        (Scene.Shape.sphere, "xxh3:81cb05b757375764"), (.torus, "xxh3:c7cd8f0712afcc0e"),
        (.terrain, "xxh3:0837d170c68fe3a2"),
    ])
func golden(shape: Scene.Shape, digest: String) {
    let content = Scene(shape: shape, points: 1_000, seed: 42).cloud().content()
    #expect(content.withUnsafeBytes { CloudContent.digest(of: $0) } == digest)
}

@Test("Another seed is another cloud, the same seed is the same", arguments: Scene.Shape.allCases)
func seeds(shape: Scene.Shape) {
    let one = Scene(shape: shape, points: 100, seed: 1).cloud()
    #expect(one == Scene(shape: shape, points: 100, seed: 1).cloud())
    #expect(one != Scene(shape: shape, points: 100, seed: 2).cloud())
    #expect(one.count == 100)
}

@Test("The points of a sphere are at distance 1 from its centre, all around")
func sphere() throws {
    let cloud = Scene(shape: .sphere, points: 5_000, seed: 7).cloud()
    for index in 0..<cloud.count {
        let point = cloud[index]
        let square = point.x * point.x + point.y * point.y + point.z * point.z
        #expect(abs(square - 1) < 1e-6)
    }
    let centroid = try #require(try summary(of: cloud).centroid)
    #expect(abs(centroid.x) < 0.05 && abs(centroid.z) < 0.05)
}

@Test("The points of a torus are at distance 0.35 from its ring")
func torus() {
    let cloud = Scene(shape: .torus, points: 5_000, seed: 7).cloud()
    for index in 0..<cloud.count {
        let point = cloud[index]
        let across = (point.x * point.x + point.y * point.y).squareRoot() - 1
        let square = across * across + point.z * point.z
        #expect(abs(square.squareRoot() - 0.35) < 1e-6)
    }
}

@Test("A terrain lies within its square, and is smooth: near points are about as high")
func terrain() throws {
    let cloud = Scene(shape: .terrain, points: 5_000, seed: 7).cloud()
    let box = try #require(try summary(of: cloud).boundingBox)
    #expect(box.minimum.x >= 0 && box.minimum.y >= 0 && box.minimum.z >= 0)
    #expect(box.maximum.x <= 10 && box.maximum.y <= 10 && box.maximum.z <= 2)
    #expect(box.maximum.z - box.minimum.z > 0.3)
}

@Test("The generator's numbers are those that its authors publish")
func splitMix() {
    var generator = SplitMix64(seed: 1_234_567)
    let numbers = (0..<5).map { _ in generator.next() }
    #expect(
        numbers == [
            6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423,
            4_593_380_528_125_082_431, 16_408_922_859_458_223_821,
        ])
}
