internal import Glibc

/// Values by a name's bytes, found without making an array or a text of them.
///
/// Open addressing with linear probing; a name is looked up for every message, and entered once.
struct NameTable<Value> {
    /// Zero where the place is free.
    private var hashes: [UInt64]
    private var names: [[UInt8]]
    private var values: [Value?]
    /// How many names there are.
    private(set) var count = 0

    init() {
        hashes = Array(repeating: 0, count: 64)
        names = Array(repeating: [], count: 64)
        values = Array(repeating: nil, count: 64)
    }

    /// Enters a name; the value that it had before is replaced.
    mutating func insert(_ value: Value, for name: [UInt8]) {
        if count * 2 >= hashes.count { grow() }
        let hash = name.withUnsafeBytes { Self.hash($0) }
        let index = name.withUnsafeBytes { slot(of: $0, hash) }
        if hashes[index] == 0 { count += 1 }
        hashes[index] = hash
        names[index] = name
        values[index] = value
    }

    /// The value of a name; nil where it was never entered.
    @inline(__always)
    func value(for name: UnsafeRawBufferPointer) -> Value? {
        values[slot(of: name, Self.hash(name))]
    }

    /// Where the name is or would be; half of the table is always empty.
    @inline(__always)
    private func slot(of name: UnsafeRawBufferPointer, _ hash: UInt64) -> Int {
        let mask = hashes.count - 1
        var index = Int(truncatingIfNeeded: hash) & mask
        while hashes[index] != 0 {
            if hashes[index] == hash, isEqual(names[index], name) { return index }
            index = (index + 1) & mask
        }
        return index
    }

    @inline(__always)
    private func isEqual(_ known: [UInt8], _ name: UnsafeRawBufferPointer) -> Bool {
        guard known.count == name.count else { return false }
        guard let bytes = name.baseAddress else { return true }
        return known.withUnsafeBytes { known in
            known.baseAddress.map { memcmp($0, bytes, name.count) == 0 } ?? false
        }
    }

    private mutating func grow() {
        let former = (hashes, names, values)
        hashes = Array(repeating: 0, count: former.0.count * 2)
        names = Array(repeating: [], count: hashes.count)
        values = Array(repeating: nil, count: hashes.count)
        count = 0
        for (name, value) in zip(former.1, former.2) {
            if let value { insert(value, for: name) }
        }
    }

    /// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/), its high bits folded in.
    ///
    /// Names are those of the topology, so nobody can choose them to collide.
    private static func hash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        // Zero is a free place.
        return max(1, hash ^ hash >> 32)
    }
}
