internal import CXXHash

/// The content of a cloud's message where it lies: in an array, or in memory that others share.
///
/// Valid as long as the bytes are: within the closure that they were handed to.
public struct CloudContent {
    /// What stands before the points.
    public let header: CloudHeader
    /// Header and points.
    public let bytes: UnsafeRawBufferPointer

    /// The content in `bytes`, checked to its last number.
    ///
    /// - Throws: `CloudContentError` for anything that is no cloud.
    public init(_ bytes: UnsafeRawBufferPointer) throws(CloudContentError) {
        header = try CloudHeader(reading: bytes)
        self.bytes = bytes
        if let index = firstNotFinite {
            throw CloudContentError(
                CloudHeader.size + index * header.scalar.size, "the number is not finite")
        }
    }

    /// The points: numbers of the header's kind, little-endian.
    public var points: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(rebasing: bytes[CloudHeader.size...])
    }

    /// XXH3 of all bytes, as `xxh3:` and sixteen hexadecimal digits.
    public var digest: String { CloudContent.digest(of: bytes) }

    /// XXH3 of some bytes, as `xxh3:` and sixteen hexadecimal digits.
    public static func digest(of bytes: UnsafeRawBufferPointer) -> String {
        let digits = String(hash(of: bytes), radix: 16)
        return "xxh3:" + String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// XXH3 of some bytes.
    public static func hash(of bytes: UnsafeRawBufferPointer) -> UInt64 {
        XXH3_64bits(bytes.baseAddress, bytes.count)
    }

    /// The points' positions, copied.
    public var cloud: PointCloud {
        let stride = header.scalarsPerPoint
        func copied<Scalar: CloudScalar>(_: Scalar.Type) -> [Scalar] {
            let points = points
            return [Scalar](unsafeUninitializedCapacity: header.count * 3) { buffer, count in
                for index in 0..<header.count * 3 {
                    let place = index / 3 * stride + index % 3
                    buffer.initializeElement(at: index, to: Scalar(points, at: place))
                }
                count = header.count * 3
            }
        }
        switch header.scalar {
        case .single: return PointCloud(.single(copied(Float.self)))
        case .double: return PointCloud(.double(copied(Double.self)))
        }
    }

    private var firstNotFinite: Int? {
        let points = points
        let count = header.count * header.scalarsPerPoint
        switch header.scalar {
        case .single:
            // All exponents at once, without a branch for each: this is read once a cloud of 100 MB.
            var worst: UInt32 = 0
            for index in 0..<count {
                let bits = points.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self)
                worst = max(worst, UInt32(littleEndian: bits) & 0x7F80_0000)
            }
            guard worst == 0x7F80_0000 else { return nil }
            return (0..<count).first { !Float(points, at: $0).isFinite }
        case .double:
            return (0..<count).first { !Double(points, at: $0).isFinite }
        }
    }
}

extension CloudHeader {
    /// The header for the points of `cloud`, as measured and in the world's coordinates.
    public init(_ cloud: PointCloud) {
        switch cloud.coordinates {
        case .single: self.init(count: cloud.count, scalar: .single)
        case .double: self.init(count: cloud.count, scalar: .double)
        }
    }
}

extension PointCloud {
    /// The content of a message with this cloud, as measured.
    ///
    /// - Parameter header: Says what else is known of it; number and kind of its points are the
    ///   cloud's.
    /// - Returns: Header and points.
    public func content(_ header: CloudHeader? = nil) -> [UInt8] {
        var complete = header ?? CloudHeader(self)
        let own = CloudHeader(self)
        (complete.count, complete.scalar, complete.hasNormals) = (own.count, own.scalar, false)
        return [UInt8](unsafeUninitializedCapacity: complete.contentSize) { buffer, count in
            let target = UnsafeMutableRawBufferPointer(buffer)
            complete.write(to: target)
            writePoints(
                to: UnsafeMutableRawBufferPointer(rebasing: target[CloudHeader.size...]))
            count = complete.contentSize
        }
    }

    /// Writes the coordinates as they stand in a content and in a binary PLY.
    public func writePoints(to target: UnsafeMutableRawBufferPointer) {
        #if _endian(big)
            #error("coordinates are copied as they are: swap their bytes here")
        #endif
        switch coordinates {
        case .single(let values): values.withUnsafeBytes { target.copyMemory(from: $0) }
        case .double(let values): values.withUnsafeBytes { target.copyMemory(from: $0) }
        }
    }
}

/// A number that points are made of, for loops over many of them.
public protocol CloudScalar: BitwiseCopyable {
    /// The number with the given index among little-endian ones.
    init(_ bytes: UnsafeRawBufferPointer, at index: Int)

    /// The same number in double precision.
    var inDouble: Double { get }
}

extension Float: CloudScalar {
    /// The number with the given index among little-endian ones.
    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer, at index: Int) {
        self.init(
            bitPattern: UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: index &* 4, as: UInt32.self)))
    }

    /// The same number in double precision.
    @inlinable public var inDouble: Double { Double(self) }
}

extension Double: CloudScalar {
    /// The number with the given index among little-endian ones.
    @inlinable
    public init(_ bytes: UnsafeRawBufferPointer, at index: Int) {
        self.init(
            bitPattern: UInt64(
                littleEndian: bytes.loadUnaligned(fromByteOffset: index &* 8, as: UInt64.self)))
    }

    /// The number itself.
    @inlinable public var inDouble: Double { self }
}
