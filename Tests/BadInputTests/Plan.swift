import Glibc
import TestSupport
import Testing

/// How many bad inputs are tried, and from which seed they follow.
///
///     SYNMESH_BAD_INPUTS        how many in all (10,000 without it; `make fuzz` has 100,000)
///     SYNMESH_BAD_INPUT_SEED    the seed (1)
///     SYNMESH_BAD_INPUT_ROUND   this round alone, of whatever is run
///
/// A failure names suite, seed and round. A crash cannot: which round was being played stands in
/// `synmesh-bad-input.txt` in the folder for temporary files.
struct Plan {
    static let total = number("SYNMESH_BAD_INPUTS") ?? 10_000
    static let seed = UInt64(number("SYNMESH_BAD_INPUT_SEED") ?? 1)
    static let only = number("SYNMESH_BAD_INPUT_ROUND")
    /// Bad inputs between two good ones.
    static let roundSize = 50

    /// What is attacked.
    let suite: String
    /// Its share of all inputs, in hundredths.
    let share: Int

    private static func number(_ name: String) -> Int? {
        getenv(name).flatMap { Int(String(cString: $0)) }
    }

    /// Plays the rounds: each a number of bad inputs, then one good one that must get through.
    func play(
        _ body: (_ round: Int, _ name: Comment, _ inputs: inout Mutator) throws -> Void
    ) throws {
        let rounds = max(1, Self.total * share / 100 / Self.roundSize)
        var suiteSeed: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in suite.utf8 { suiteSeed = (suiteSeed ^ UInt64(byte)) &* 0x100_0000_01b3 }
        for round in 1...rounds where Self.only == nil || Self.only == round {
            let name = "\(suite), seed \(Self.seed), round \(round) of \(rounds)"
            leaveTrail(name)
            var inputs = Mutator(seed: suiteSeed &+ Self.seed &* 1_000_003 &+ UInt64(round))
            try body(round, Comment(rawValue: name), &inputs)
        }
    }

    private static let trail: Int32 = {
        let folder = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        return open(
            "\(folder)/synmesh-bad-input.txt", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    }()

    private func leaveTrail(_ name: String) {
        let line = Array("\(name)\n".utf8)
        _ = ftruncate(Self.trail, 0)
        _ = pwrite(Self.trail, line, line.count, 0)
    }
}

/// The longest that a good input may take to get through.
let patience = Duration.seconds(20)

/// Waits, a millisecond at a time, until the answer is there.
@discardableResult
func eventually<Result>(_ what: Comment, _ body: () throws -> Result?) throws -> Result {
    let end = ContinuousClock.now + patience
    while ContinuousClock.now < end {
        if let result = try body() { return result }
        usleep(1_000)
    }
    throw TestFailure("not in time: \(what)")
}
