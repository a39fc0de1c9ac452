/// Values by a name's bytes, found without making an array or a text of them.
///
/// Open addressing with linear probing; a name is looked up for every message, and entered once.
struct NameTable<Value> {
    private struct Entry {
        let hash: UInt64
        let name: [UInt8]
        let value: Value
    }

    private var entries: [Entry?]
    /// How many names there are.
    private(set) var count = 0

    init() { entries = Array(repeating: nil, count: 64) }

    /// Enters a name; the value that it had before is replaced.
    mutating func insert(_ value: Value, for name: [UInt8]) {
        if count * 2 >= entries.count { grow() }
        let hash = name.withUnsafeBytes { Self.hash($0) }
        let index = name.withUnsafeBytes { slot(of: $0, hash) }
        if entries[index] == nil { count += 1 }
        entries[index] = Entry(hash: hash, name: name, value: value)
    }

    /// The value of a name; nil where it was never entered.
    func value(for name: UnsafeRawBufferPointer) -> Value? {
        entries[slot(of: name, Self.hash(name))]?.value
    }

    /// Where the name is or would be; half of the table is always empty.
    private func slot(of name: UnsafeRawBufferPointer, _ hash: UInt64) -> Int {
        let mask = entries.count - 1
        var index = Int(truncatingIfNeeded: hash) & mask
        while let entry = entries[index] {
            if entry.hash == hash, entry.name.count == name.count,
                entry.name.withUnsafeBytes({ $0.elementsEqual(name) })
            {
                return index
            }
            index = (index + 1) & mask
        }
        return index
    }

    private mutating func grow() {
        let former = entries
        entries = Array(repeating: nil, count: former.count * 2)
        count = 0
        for entry in former.lazy.compactMap(\.self) { insert(entry.value, for: entry.name) }
    }

    /// FNV-1a, 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/), its high bits folded in.
    ///
    /// Names are those of the topology, so nobody can choose them to collide.
    private static func hash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return hash ^ hash >> 32
    }
}
