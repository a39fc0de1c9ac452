import JSON
import PointClouds
import Randomness
import Testing

private let single = PointCloud(.single([1, 2, 3, -4, 5.5, 6]))
private let double = PointCloud(.double([0.1, 2, 3]))

/// Reads a content as those who receive it do.
private func read<Result>(
    _ bytes: [UInt8], _ body: (CloudContent) -> Result
) throws(CloudContentError) -> Result {
    let read = bytes.withUnsafeBytes { bytes -> Swift.Result<Result, CloudContentError> in
        do throws(CloudContentError) {
            return .success(body(try CloudContent(bytes)))
        } catch {
            return .failure(error)
        }
    }
    return try read.get()
}

@Test("The content of a cloud is, byte for byte, what its documentation says")
func layout() {
    let one: [UInt8] = [0, 0, 0, 0, 0, 0, 0xF0, 0x3F]
    let zero = [UInt8](repeating: 0, count: 8)
    let start: [UInt8] = [0x53, 0x4D, 0x50, 0x43, 2, 4, 3, 0, 1, 0, 0, 0, 0, 0, 0, 0]
    let points: [UInt8] = [0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0, 0, 0x3F]
    let cloud = PointCloud(.single([1, -2, 0.5]))
    #expect(
        cloud.content() == start + zero + zero + zero + one + [UInt8](repeating: 0, count: 80)
            + points)
    var header = CloudHeader(cloud)
    header.scene = 0x0102
    header.view = 3
    header.views = 5
    header.spacing = 1
    header.pose = Pose(
        rotation: Pose.Rotation(w: 0, x: 1, y: 0, z: 0),
        position: PointCloud.Point(x: 1, y: 0, z: 1))
    #expect(
        cloud.content(header) == start + [2, 1, 0, 0, 0, 0, 0, 0] + [3, 0, 5, 0, 0, 0, 0, 0] + one
            + zero + one + zero + zero + one + zero + one + [UInt8](repeating: 0, count: 32)
            + points)
}

@Test(
    "What was written is read again, header and points",
    arguments: [
        single, double, PointCloud(.single([])), PointCloud(.double([])),
    ])
func roundTrip(cloud: PointCloud) throws {
    var header = CloudHeader(cloud)
    header.scene = .max
    header.view = 31
    header.views = 32
    header.spacing = 0.125
    header.pose = Pose(position: PointCloud.Point(x: 1, y: -2, z: 3), yaw: 30, pitch: 20, roll: 10)
    let content = cloud.content(header)
    #expect(content.count == header.contentSize)
    try read(content) {
        #expect($0.cloud == cloud)
        #expect($0.header == header)
    }
}

@Test("A content of 20 MB holds 1.7 million points")
func large() throws {
    let cloud = Scene(shape: .sphere, points: 1_700_000, seed: 5).cloud()
    let content = cloud.content()
    #expect(content.count == 20_400_128)
    #expect(try read(content) { $0.cloud } == cloud)
}

@Test(
    "A content that is no cloud is refused at the byte that does not fit",
    arguments: [
        (0, [0x50], 0, "SMPC"), (4, [1], 4, "version 1"), (5, [3], 5, "3 bytes"),
        (6, [4], 6, "4 numbers a point"), (7, [1], 7, "reserved"), (31, [1], 31, "reserved"),
        (96, [1], 96, "reserved"), (127, [9], 127, "reserved"),
        (8, [3], 8, "3 points"), (8, [1], 8, "1 points"),
        (8, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], 8, "18446744073709551615 points"),
        // 24 bytes of points: this number of them times 12 would be 24 modulo 2^64.
        (8, [2, 0, 0, 0, 0, 0, 0, 0x40], 8, "points declared"),
        (24, [1], 24, "view 1 of 0"), (24, [4, 0, 4], 24, "view 4 of 4"),
        (24, [0, 0, 33], 24, "view 0 of 33"), (39, [0xFF], 32, "-"),
        (46, [0xF8, 0x7F], 40, "finite"), (47, [0x40], 40, "quaternion"),
        (94, [0xF0, 0x7F], 88, "finite"),
        (128, [0, 0, 0xC0, 0x7F], 128, "finite"), (148, [0, 0, 0x80, 0xFF], 148, "finite"),
    ] as [(Int, [UInt8], Int, String)])
func refusals(place: Int, bytes: [UInt8], offset: Int, reason: String) throws {
    var content = single.content()
    if place == 39 { content.replaceSubrange(32..<40, with: [0, 0, 0, 0, 0, 0, 0xF0, 0xBF]) }
    if place != 39 { content.replaceSubrange(place..<place + bytes.count, with: bytes) }
    let error = try #require(throws: CloudContentError.self) { try read(content) { _ in } }
    #expect(error.offset == offset)
    #expect(error.description.contains(reason), "\(error)")
}

@Test("A content that was cut or lengthened is refused", arguments: [single, double])
func lengths(cloud: PointCloud) {
    let content = cloud.content()
    for length in 0..<content.count {
        #expect(throws: CloudContentError.self) {
            try read(Array(content[..<length])) { _ in }
        }
    }
    #expect(throws: CloudContentError.self) { try read(content + [0]) { _ in } }
}

@Test("1,000 mutated contents are read or refused, never a crash")
func mutations() {
    var generator = SplitMix64(seed: 77)
    let original = Scene(shape: .torus, points: 20, seed: 1).cloud().content()
    var refused = 0
    for _ in 0..<1_000 {
        var content = original
        for _ in 0..<Int.random(in: 1...3, using: &generator) {
            let place = Int.random(in: 0..<content.count, using: &generator)
            switch Int.random(in: 0..<3, using: &generator) {
            case 0: content[place] = UInt8.random(in: 0...255, using: &generator)
            case 1: content[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
            default: content.removeSubrange(place..<min(place + 5, content.count))
            }
        }
        do {
            let summary = try read(content) { CloudSummary($0) }
            #expect(summary.count == 20)
        } catch {
            refused += 1
            #expect(error.offset <= content.count)
        }
    }
    #expect(refused > 300)
}

@Test("A summary is the number of points, their box, their mean and the content's digest")
func summary() throws {
    let content = single.content()
    #expect(
        try read(content) { CloudSummary($0).json } == [
            "points": 2,
            "bounding_box": [
                "minimum": [.double(-4), .double(2), .double(3)],
                "maximum": [.double(1), .double(5.5), .double(6)],
            ],
            "centroid": [.double(-1.5), .double(3.75), .double(4.5)],
            "digest": .string(content.withUnsafeBytes { CloudContent.digest(of: $0) }),
        ])
    #expect([UInt8]().withUnsafeBytes { CloudContent.digest(of: $0) } == "xxh3:2d06800538d394c2")
}

@Test("The box of a posed cloud is where it is in the world")
func posedSummary() throws {
    var header = CloudHeader(single)
    // A quarter turn about z: x becomes y.
    header.pose = Pose(position: PointCloud.Point(x: 10, y: 0, z: 0), yaw: 90)
    let box = try #require(try read(single.content(header)) { CloudSummary($0).boundingBox })
    #expect(abs(box.minimum.x - 4.5) < 1e-12 && abs(box.maximum.x - 8) < 1e-12)
    #expect(abs(box.minimum.y + 4) < 1e-12 && abs(box.maximum.y - 1) < 1e-12)
    #expect(abs(box.minimum.z - 3) < 1e-12 && abs(box.maximum.z - 6) < 1e-12)
}

@Test("Of no points there is no box and no mean, and no infinity is written")
func emptySummary() throws {
    let json = try read(PointCloud(.single([])).content()) { CloudSummary($0).json }
    #expect(json["points"] == 0 && json["bounding_box"] == .null && json["centroid"] == .null)
}
