import TestSupport

/// Makes bad inputs of good ones.
struct Mutator {
    var random: SeededGenerator

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func number(below bound: Int) -> Int {
        Int.random(in: 0..<max(1, bound), using: &random)
    }

    mutating func pick<Element>(_ elements: [Element]) -> Element {
        elements[number(below: elements.count)]
    }

    mutating func noise(upTo count: Int) -> [UInt8] {
        (0..<number(below: count + 1)).map { _ in UInt8.random(in: 0...255, using: &random) }
    }

    /// Numbers that are least expected: nothing, the edges of each width, a gigabyte.
    private static let edges: [UInt64] = [
        0, 1, 2, 7, 8, 127, 128, 255, 256, 65_535, 1 << 30, (1 << 31) - 1, 1 << 31, (1 << 32) - 1,
        1 << 32, 1 << 53, UInt64(Int64.max), 1 << 63, UInt64.max - 1, UInt64.max,
    ]

    /// What no reader of JSON or of names expects.
    private static let words: [String] = [
        "null", "true", "-1", "0", "1e999", "-0.0", "9223372036854775807", "18446744073709551615",
        "1073741824", "99999999999999999999999999", "\"\"", "\"\\ud800\"", "\"\\u0000\"", "{}",
        "[]",
        String(repeating: "[", count: 600), String(repeating: "{\"a\":", count: 300), "\u{0}", ",",
        "\"", "\\", "}", "topic:", "_", ".", "*", ">", " ", String(repeating: "x", count: 300),
        "\u{7f}", "ü",
    ]

    /// Bytes that were good once.
    mutating func mutate(_ good: [UInt8]) -> [UInt8] {
        if number(below: 20) == 0 { return noise(upTo: 300) }
        var bytes = good
        for _ in 0...number(below: 3) { change(&bytes) }
        return bytes
    }

    private mutating func change(_ bytes: inout [UInt8]) {
        let place = number(below: bytes.count + 1)
        switch number(below: 10) {
        case 0 where place < bytes.count: bytes[place] ^= 1 << UInt8(number(below: 8))
        case 1 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &random)
        case 2: bytes = Array(bytes[..<place])
        case 3: bytes.insert(contentsOf: noise(upTo: 40), at: place)
        case 4:
            let end = place + number(below: bytes.count - place + 1)
            bytes.removeSubrange(place..<end)
        case 5:
            let end = place + number(below: bytes.count - place + 1)
            bytes.insert(contentsOf: bytes[place..<end], at: place)
        case 6, 7:
            let edge = pick(Self.edges)
            for index in 0..<pick([1, 2, 4, 8]) where place + index < bytes.count {
                bytes[place + index] = UInt8(truncatingIfNeeded: edge >> UInt64(index * 8))
            }
        case 8: bytes.insert(contentsOf: Array(pick(Self.words).utf8), at: place)
        default: replaceNumber(&bytes, near: place)
        }
    }

    /// Puts another value where digits stand.
    private mutating func replaceNumber(_ bytes: inout [UInt8], near place: Int) {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        guard let start = bytes[place...].firstIndex(where: digits.contains) else { return }
        let end = bytes[start...].firstIndex { !digits.contains($0) } ?? bytes.count
        let word = Bool.random(using: &random) ? String(pick(Self.edges)) : pick(Self.words)
        bytes.replaceSubrange(start..<end, with: Array(word.utf8))
    }

    /// A message of several frames, with its frames or their number changed.
    mutating func mutate(_ good: [[UInt8]]) -> [[UInt8]] {
        var frames = good
        switch number(below: 12) {
        case 0: frames.append(noise(upTo: 40))
        case 1: frames.removeLast()
        case 2: frames.insert([], at: number(below: frames.count + 1))
        case 3: frames.swapAt(number(below: frames.count), number(below: frames.count))
        case 4: frames += frames
        case 5: return [noise(upTo: 200)]
        default: break
        }
        guard !frames.isEmpty else { return [noise(upTo: 10)] }
        if number(below: 8) > 0 {
            let index = number(below: frames.count)
            frames[index] = mutate(frames[index])
        }
        return frames
    }

    mutating func mutate(_ text: String) -> String {
        String(decoding: mutate(Array(text.utf8)), as: UTF8.self)
    }
}
