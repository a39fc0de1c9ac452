/// Why bytes are not the content of a cloud's message.
public struct CloudContentError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Offset of the first byte that does not fit.
    public let offset: Int
    /// What was wrong there.
    public let reason: String

    /// One line for a person.
    public var description: String {
        "not a point cloud: byte \(offset): \(reason); send what CloudContent.encode makes"
    }
}

/// A cloud as the content of a message: 16 bytes of header, then the coordinates, little-endian.
///
/// | bytes | meaning |
/// |---|---|
/// | 0..<4 | `SMPC` |
/// | 4 | version, 1 |
/// | 5 | bytes a coordinate: 4 (Float32) or 8 (Float64) |
/// | 6..<8 | 0 |
/// | 8..<16 | number of points |
/// | 16... | x, y, z of each point |
///
/// The header is a multiple of eight bytes long, so that a reader that maps the content from shared
/// memory finds every coordinate aligned.
public enum CloudContent {
    /// The length of what stands before the first coordinate, in bytes.
    public static let headerSize = 16
    /// The only version there is.
    public static let version: UInt8 = 1

    private static let magic = Array("SMPC".utf8)

    /// How many bytes the content of a cloud takes.
    public static func size(of cloud: PointCloud) -> Int {
        headerSize + cloud.count * 3 * scalarSize(cloud.coordinates)
    }

    /// The content for `cloud`.
    public static func encode(_ cloud: PointCloud) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size(of: cloud))
        bytes += magic
        bytes += [version, UInt8(scalarSize(cloud.coordinates)), 0, 0]
        withUnsafeBytes(of: UInt64(cloud.count).littleEndian) { bytes.append(contentsOf: $0) }
        append(cloud.coordinates, to: &bytes)
        return bytes
    }

    /// The cloud of a content.
    ///
    /// - Throws: `CloudContentError` for anything that `encode` would not have made.
    public static func decode(_ bytes: [UInt8]) throws(CloudContentError) -> PointCloud {
        guard bytes.count >= headerSize else {
            throw CloudContentError(
                offset: bytes.count, reason: "the content ends within its header")
        }
        guard bytes.starts(with: magic) else {
            throw CloudContentError(offset: 0, reason: "it does not begin with SMPC")
        }
        guard bytes[4] == version else {
            throw CloudContentError(offset: 4, reason: "version \(bytes[4]), expected \(version)")
        }
        let size = Int(bytes[5])
        guard size == 4 || size == 8 else {
            throw CloudContentError(offset: 5, reason: "\(size) bytes a coordinate, not 4 or 8")
        }
        guard bytes[6] == 0 && bytes[7] == 0 else {
            throw CloudContentError(offset: 6, reason: "the reserved bytes are not 0")
        }
        let declared = bytes[8..<16].reversed().reduce(0 as UInt64) { $0 << 8 | UInt64($1) }
        let room = bytes.count - headerSize
        // By division: the declared number may be one that no multiplication survives.
        guard room.isMultiple(of: 3 * size), declared == UInt64(room / (3 * size)) else {
            throw CloudContentError(
                offset: 8, reason: "\(declared) points declared, \(room) bytes of coordinates")
        }
        let coordinates: PointCloud.Coordinates =
            size == 4 ? .single(singles(bytes)) : .double(doubles(bytes))
        if let index = firstNotFinite(coordinates) {
            throw CloudContentError(
                offset: headerSize + index * size, reason: "the coordinate is not finite")
        }
        return PointCloud(coordinates)
    }

    /// Appends coordinates as they stand in a content and in a binary PLY.
    static func append(_ coordinates: PointCloud.Coordinates, to bytes: inout [UInt8]) {
        switch coordinates {
        case .single(let values):
            #if _endian(little)
                values.withUnsafeBytes { bytes.append(contentsOf: $0) }
            #else
                for value in values {
                    withUnsafeBytes(of: value.bitPattern.littleEndian) {
                        bytes.append(contentsOf: $0)
                    }
                }
            #endif
        case .double(let values):
            #if _endian(little)
                values.withUnsafeBytes { bytes.append(contentsOf: $0) }
            #else
                for value in values {
                    withUnsafeBytes(of: value.bitPattern.littleEndian) {
                        bytes.append(contentsOf: $0)
                    }
                }
            #endif
        }
    }

    private static func scalarSize(_ coordinates: PointCloud.Coordinates) -> Int {
        switch coordinates {
        case .single: 4
        case .double: 8
        }
    }

    private static func singles(_ bytes: [UInt8]) -> [Float] {
        let total = (bytes.count - headerSize) / 4
        return [Float](unsafeUninitializedCapacity: total) { buffer, count in
            copyCoordinates(bytes, into: UnsafeMutableRawBufferPointer(buffer), size: total * 4)
            count = total
            #if _endian(big)
                for index in 0..<total {
                    buffer[index] = Float(bitPattern: buffer[index].bitPattern.byteSwapped)
                }
            #endif
        }
    }

    private static func doubles(_ bytes: [UInt8]) -> [Double] {
        let total = (bytes.count - headerSize) / 8
        return [Double](unsafeUninitializedCapacity: total) { buffer, count in
            copyCoordinates(bytes, into: UnsafeMutableRawBufferPointer(buffer), size: total * 8)
            count = total
            #if _endian(big)
                for index in 0..<total {
                    buffer[index] = Double(bitPattern: buffer[index].bitPattern.byteSwapped)
                }
            #endif
        }
    }

    private static func copyCoordinates(
        _ bytes: [UInt8], into target: UnsafeMutableRawBufferPointer, size: Int
    ) {
        bytes.withUnsafeBytes { source in
            target.copyMemory(
                from: UnsafeRawBufferPointer(rebasing: source[headerSize..<headerSize + size]))
        }
    }

    private static func firstNotFinite(_ coordinates: PointCloud.Coordinates) -> Int? {
        switch coordinates {
        case .single(let values):
            values.firstIndex { $0.bitPattern & 0x7F80_0000 == 0x7F80_0000 }
        case .double(let values):
            values.firstIndex { !$0.isFinite }
        }
    }
}
