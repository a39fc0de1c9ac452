import Glibc
import JSON
import Testing
import Wire

@testable import Recording

/// The bytes of a file.
func contents(of path: String) throws -> [UInt8] {
    let file = try OpenFile(path, O_RDONLY, attempt: .read)
    let size = Int(try file.status(.read).st_size)
    var bytes = [UInt8](repeating: 0, count: size)
    let count = try bytes.withUnsafeMutableBytes { (buffer) throws(HistoryError) in
        try file.read(into: buffer, at: 0)
    }
    try #require(count == size)
    return bytes
}

/// Makes `path` a file of these bytes.
func write(_ bytes: [UInt8], to path: String) throws {
    let file = try OpenFile(path, O_WRONLY | O_CREAT | O_TRUNC, attempt: .write)
    try file.write(bytes, at: 0, attempt: .write)
}

/// The `sequence`-th envelope of a flow.
func envelope(
    _ sequence: UInt64, from source: String = "alpha", to destination: Address = .agent("beta"),
    type: String = "ping", content: [UInt8]? = nil, cause: Identity? = nil
) -> Envelope {
    Envelope(
        identity: Identity(
            flow: Flow(source: source, destination: destination), incarnation: 1,
            sequence: sequence),
        type: type, sent: 1_700_000_000_000_000_000 + sequence, cause: cause,
        contentEncoding: .json, content: content ?? Array(#"{"number":\#(sequence)}"#.utf8))
}

/// One annotation of every case.
let everyAnnotation: [Annotation] = {
    let flow = Flow(source: "alpha", destination: .topic("tot.branch_A"))
    let one = Identity(flow: flow, incarnation: 2, sequence: 41)
    let other = Identity(
        flow: Flow(source: "beta", destination: .agent("alpha")), incarnation: 1,
        sequence: 1 << 40)
    return [
        .cause(of: one, by: other, at: 1),
        .subscribed(agent: "beta", topic: "tot.branch_A", at: 2),
        .unsubscribed(agent: "beta", topic: "tot.branch_A", at: 3),
        .dropped(one, reason: "queue full: \"beta\"\nat\t1,000 \\ 1,000 – ü", by: "proxy", at: 4),
        .repeatDropped(other, transport: "nats", by: "alpha", at: 5),
        .gap(
            flow: flow, incarnation: 3, from: 7, through: .max, reason: "timeout", by: "beta",
            at: 6),
        .late(one, by: "beta", at: 7),
        .contentRead(one, pool: "clouds", isVerified: true, by: "beta", at: 8),
        .contentRead(other, pool: "clouds", isVerified: false, by: "alpha", at: 9),
        .contentUnreadable(
            other, pool: "clouds", reason: "another \"generation\"", by: "alpha", at: 10),
        .unreadable(count: 3, from: "old", reason: "no \"JSON\"", by: "core", at: 8),
        .refused(
            to: .topic("tot.branch_A"), type: "thought", reason: "\"too\" large", by: "alpha",
            at: 11),
        .refused(to: .agent("beta"), type: "", reason: "", by: "alpha", at: 12),
        .note("", at: 0),
        .note("anything", at: .max),
    ]
}()

let clock = RunClock.starting()
