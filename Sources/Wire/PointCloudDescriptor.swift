public import JSON

/// What is sent in place of a point cloud that lies in shared memory.
///
/// `{"digest":"xxh3:0123456789abcdef","generation":7,"points":1000000,"pool":"clouds","size":12000016,
/// "slot":3}`. Slot and generation say where the bytes are; size, points and digest what they are.
public struct PointCloudDescriptor: Hashable, Sendable {
    /// The pool, by its name in the topology.
    public var pool: String
    /// The slot's number in the pool.
    public var slot: Int
    /// How often the slot was loaned, this time included: another cloud has another one.
    public var generation: UInt64
    /// The cloud's bytes.
    public var size: UInt64
    /// XXH3 (64 bits) of the bytes; nil where the pool computes none.
    public var digest: UInt64?
    /// The cloud's points.
    public var points: Int

    /// Describes a cloud in shared memory.
    public init(
        pool: String, slot: Int, generation: UInt64, size: UInt64, digest: UInt64?, points: Int
    ) {
        self.pool = pool
        self.slot = slot
        self.generation = generation
        self.size = size
        self.digest = digest
        self.points = points
    }

    /// The message's content.
    public var json: Value {
        var members: [String: Value] = [
            "pool": .string(pool), "slot": Value(slot), "generation": Value(generation),
            "size": Value(size), "points": Value(points),
        ]
        members["digest"] = digest.map { .string(Self.text(ofDigest: $0)) }
        return .object(members)
    }

    /// Reads what `json` wrote; nil where a member is missing or malformed.
    public init?(_ json: Value) {
        guard let pool = json["pool"]?.string, Names.isLegal(pool),
            let slot = json["slot"]?.integer.flatMap({ Int(exactly: $0) }), slot >= 0,
            let generation = json["generation"]?.integer.flatMap({ UInt64(exactly: $0) }),
            let size = json["size"]?.integer.flatMap({ UInt64(exactly: $0) }),
            let points = json["points"]?.integer.flatMap({ Int(exactly: $0) }), points >= 0
        else { return nil }
        var digest: UInt64?
        if let text = json["digest"], text != .null {
            digest = text.string.flatMap(Self.digest(ofText:))
            guard digest != nil else { return nil }
        }
        self.init(
            pool: pool, slot: slot, generation: generation, size: size, digest: digest,
            points: points)
    }

    /// Reads a message's content; nil where it is no descriptor.
    public init?(parsing content: [UInt8]) {
        guard let json = try? Value(parsing: content) else { return nil }
        self.init(json)
    }

    /// Where the bytes are, as the header `ce-dataref` has it: `shm:clouds/3/7`.
    public var reference: String { "\(Self.scheme)\(pool)/\(slot)/\(generation)" }

    /// What every `reference` begins with.
    static let scheme = "shm:"

    /// `xxh3:` and sixteen hexadecimal digits.
    private static func text(ofDigest digest: UInt64) -> String {
        let digits = String(digest, radix: 16)
        return digestPrefix + String(repeating: "0", count: 16 - digits.count) + digits
    }

    private static func digest(ofText text: String) -> UInt64? {
        let digits = text.dropFirst(digestPrefix.count)
        guard text.hasPrefix(digestPrefix), digits.utf8.count == 16,
            digits.utf8.allSatisfy({
                (0x30...0x39).contains($0) || (0x61...0x66).contains($0)
            })
        else { return nil }
        return UInt64(digits, radix: 16)
    }

    private static let digestPrefix = "xxh3:"
}

/// The two ways in which a point cloud is sent, as the seed names them.
public enum PointCloudType {
    /// The cloud is the content.
    public static let direct = "pointcloud_direct"
    /// The content says where in shared memory the cloud is.
    public static let shared = "pointcloud_shm"
}

extension Envelope {
    /// Whether the envelope is about a point cloud, wherever its bytes are.
    public var carriesPointCloud: Bool {
        type == PointCloudType.direct || type == PointCloudType.shared
    }
}
