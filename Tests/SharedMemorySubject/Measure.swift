internal import Glibc
internal import SharedMemory
internal import TestSupport

/// Prints what one content costs, from its loan to the end of its reading; built for release it says
/// something.
func measure(path: String, size: Int) throws {
    for checksum in Checksum.allCases {
        let layout = PoolLayout(
            slotSize: max(size, 1), slotCount: 2, checksum: checksum, lease: .seconds(60))
        let segment = try PoolSegment.create(path: path, layout: layout)
        defer { segment.unlink() }
        let writer = try Pool(opening: path, name: "measured")
        let reader = try Pool(opening: path, name: "measured")
        try measure("\(checksum), \(size) bytes, filled by memset", size) {
            try cycle(writer, reader, size) { bytes in
                if let start = bytes.baseAddress { memset(start, 1, bytes.count) }
            }
        }
        try measure("\(checksum), \(size) bytes, not filled", size) {
            try cycle(writer, reader, size) { _ in }
        }
    }
    let source = UnsafeMutableRawPointer.allocate(byteCount: max(size, 1), alignment: 4_096)
    let target = UnsafeMutableRawPointer.allocate(byteCount: max(size, 1), alignment: 4_096)
    defer {
        source.deallocate()
        target.deallocate()
    }
    memset(source, 1, size)
    measure("memcpy of \(size) bytes", size) { memcpy(target, source, size) }
}

private func cycle(
    _ writer: Pool, _ reader: Pool, _ size: Int, fill: (UnsafeMutableRawBufferPointer) -> Void
) throws {
    guard let loan = try writer.loan(byteCount: size) else { throw TestFailure("full") }
    loan.withBytes { fill($0) }
    let reference = try loan.publish(size: size, readers: 1)
    let reading = try reader.read(reference)
    guard reading.size == size else { throw TestFailure("another size") }
}

/// Prints the first, the median and the slowest of many runs.
private func measure(
    _ title: String, _ size: Int, _ body: () throws -> Void
) rethrows {
    let clock = ContinuousClock()
    let count = size > 1_000_000 ? 21 : 20_001
    var times: [Duration] = []
    for _ in 0..<count {
        let start = clock.now
        try body()
        times.append(clock.now - start)
    }
    let first = times[0]
    times.sort()
    print("\(title): first \(first), median \(times[count / 2]), slowest \(times[count - 1])")
}
