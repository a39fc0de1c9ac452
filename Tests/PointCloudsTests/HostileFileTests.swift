import PointClouds
import Randomness
import Testing

/// Files with everything that the reader has a way for: lists before, in and after the vertices.
private let samples: [(name: String, bytes: [UInt8])] = {
    let scene = Scene(shape: .torus, points: 12, seed: 3).cloud()
    let head = """
        ply
        format FORMAT 1.0
        comment a sample
        element note 2
        property list uchar short words
        element vertex 3
        property float x
        property list uchar uchar weights
        property double y
        property int z
        element face 2
        property list uint uchar vertex_indices
        end_header

        """
    let text =
        head.replacing("FORMAT", with: "ascii") + """
            2 5 6
            0
            1.5 1 9 2.25 3
            -1 0 1e3 4
            0.5 2 1 1 -7 5
            3 0 1 2
            3 2 1 0

            """
    var binary = Array(head.replacing("FORMAT", with: "binary_little_endian").utf8)
    binary += [2, 5, 0, 6, 0, 0]
    for (x, weights, y, z) in [
        (Float(1.5), [UInt8(9)], 2.25, Int32(3)), (-1, [], 1e3, 4), (0.5, [1, 1], -7, 5),
    ] {
        withUnsafeBytes(of: x.bitPattern.littleEndian) { binary += $0 }
        binary += [UInt8(weights.count)] + weights
        withUnsafeBytes(of: y.bitPattern.littleEndian) { binary += $0 }
        withUnsafeBytes(of: z.littleEndian) { binary += $0 }
    }
    binary += [3, 0, 0, 0, 0, 1, 2, 3, 0, 0, 0, 2, 1, 0]
    return [
        ("ascii", PLY.ascii(scene)), ("binary", PLY.binary(scene)),
        ("ascii with lists", Array(text.utf8)), ("binary with lists", binary),
    ]
}()

@Test(
    "A file cut anywhere is refused, but within the last number of an ascii file",
    arguments: samples.indices)
func truncation(sample: Int) throws {
    let bytes = samples[sample].bytes
    let whole = try PLY.read(bytes)
    let isText = samples[sample].name.hasPrefix("ascii")
    // Behind its first digit the last number of an ascii file may be complete.
    let lastWord = bytes.dropLast().lastIndex { $0 == 0x20 || $0 == 0x0A } ?? 0
    for length in 0..<bytes.count {
        do throws(PLYError) {
            let cloud = try PLY.read(Array(bytes[..<length]))
            #expect(isText && length > lastWord + 1, "\(samples[sample].name) cut at \(length)")
            #expect(cloud.count == whole.count)
        } catch {
            #expect(!error.reason.isEmpty && !error.remedy.isEmpty)
        }
    }
}

@Test("A mutated file is read or refused with an error, never a crash", arguments: samples.indices)
func mutations(sample: Int) throws {
    let original = samples[sample].bytes
    var generator = SplitMix64(seed: UInt64(sample) + 2_026)
    var refused = 0
    for _ in 0..<2_000 {
        var bytes = original
        for _ in 0..<Int.random(in: 1...4, using: &generator) {
            mutate(&bytes, &generator)
        }
        do throws(PLYError) {
            let cloud = try PLY.read(bytes)
            for index in 0..<cloud.count {
                #expect(cloud[index].x.isFinite && cloud[index].y.isFinite)
                #expect(cloud[index].z.isFinite)
            }
        } catch {
            refused += 1
            #expect(!error.description.isEmpty)
        }
    }
    #expect(refused > 200)
}

private func mutate(_ bytes: inout [UInt8], _ generator: inout SplitMix64) {
    guard !bytes.isEmpty else { return }
    let place = Int.random(in: 0..<bytes.count, using: &generator)
    let other = Int.random(in: place..<bytes.count, using: &generator)
    switch Int.random(in: 0..<7, using: &generator) {
    case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
    case 1: bytes[place] ^= 1 << UInt8.random(in: 0...7, using: &generator)
    case 2: bytes.remove(at: place)
    case 3: bytes.insert(UInt8.random(in: 0...255, using: &generator), at: place)
    case 4: bytes.insert(UInt8.random(in: 0x30...0x39, using: &generator), at: place)
    case 5: bytes.removeSubrange(place..<min(other, place + 20))
    default: bytes.insert(contentsOf: bytes[place..<min(other, place + 20)], at: place)
    }
}
