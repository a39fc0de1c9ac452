import JSON
import PointClouds
import Testing

private let single = PointCloud(.single([1, 2, 3, -4, 5.5, 6]))
private let double = PointCloud(.double([0.1, 2, 3]))

@Test("The content of a cloud is, byte for byte, what its documentation says")
func layout() {
    #expect(
        CloudContent.encode(PointCloud(.single([1, -2, 0.5]))) == [
            0x53, 0x4D, 0x50, 0x43, 1, 4, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0x80, 0x3F, 0, 0, 0, 0xC0, 0, 0, 0, 0x3F,
        ])
}

@Test(
    "What was encoded is decoded to the same cloud",
    arguments: [
        single, double, PointCloud(.single([])), PointCloud(.double([])),
    ])
func roundTrip(cloud: PointCloud) throws {
    let content = CloudContent.encode(cloud)
    #expect(content.count == CloudContent.size(of: cloud))
    #expect(try CloudContent.decode(content) == cloud)
}

@Test("A content of 20 MB holds 1.7 million points")
func large() throws {
    let cloud = Scene(shape: .sphere, points: 1_700_000, seed: 5).cloud()
    let content = CloudContent.encode(cloud)
    #expect(content.count == 20_400_016)
    #expect(try CloudContent.decode(content) == cloud)
}

@Test(
    "A content that is no cloud is refused at the byte that does not fit",
    arguments: [
        (0, [0x50], 0, "SMPC"), (4, [2], 4, "version 2"), (5, [3], 5, "3 bytes"),
        (6, [1], 6, "reserved"), (8, [3], 8, "3 points"), (8, [1], 8, "1 points"),
        (8, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], 8, "18446744073709551615 points"),
        // 24 bytes of coordinates: this number of points times 12 would be 24 modulo 2^64.
        (8, [2, 0, 0, 0, 0, 0, 0, 0x40], 8, "points declared"),
        (16, [0, 0, 0xC0, 0x7F], 16, "finite"), (36, [0, 0, 0x80, 0xFF], 36, "finite"),
    ] as [(Int, [UInt8], Int, String)])
func refusals(place: Int, bytes: [UInt8], offset: Int, reason: String) throws {
    var content = CloudContent.encode(single)
    content.replaceSubrange(place..<place + bytes.count, with: bytes)
    let error = try #require(throws: CloudContentError.self) {
        try CloudContent.decode(content)
    }
    #expect(error.offset == offset)
    #expect(error.description.contains(reason))
}

@Test("A content that was cut or lengthened is refused", arguments: [single, double])
func lengths(cloud: PointCloud) {
    let content = CloudContent.encode(cloud)
    for length in 0..<content.count {
        #expect(throws: CloudContentError.self) {
            try CloudContent.decode(Array(content[..<length]))
        }
    }
    #expect(throws: CloudContentError.self) { try CloudContent.decode(content + [0]) }
}

@Test("A summary is the number of points, their box, their mean and the content's digest")
func summary() throws {
    let content = CloudContent.encode(single)
    let summary = CloudSummary(single, content: content)
    #expect(
        summary.json == [
            "points": 2,
            "bounding_box": [
                "minimum": [.double(-4), .double(2), .double(3)],
                "maximum": [.double(1), .double(5.5), .double(6)],
            ],
            "centroid": [.double(-1.5), .double(3.75), .double(4.5)],
            "digest": .string(CloudSummary.digest(of: content)),
        ])
    #expect(CloudSummary.digest(of: []) == "xxh3:2d06800538d394c2")
}

@Test("Of no points there is no box and no mean, and no infinity is written")
func emptySummary() {
    let cloud = PointCloud(.single([]))
    let json = CloudSummary(cloud, content: CloudContent.encode(cloud)).json
    #expect(json["points"] == 0 && json["bounding_box"] == .null && json["centroid"] == .null)
}
