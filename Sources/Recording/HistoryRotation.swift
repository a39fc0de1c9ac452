/// When a history goes on in another file: by size, by time, or by whichever comes first.
///
/// Files are only begun and ended, never removed: what was recorded is evidence.
public struct HistoryRotation: Sendable, Hashable {
    /// The environment variable of the size, in bytes.
    public static let sizeVariable = "SYNMESH_HISTORY_MAX_BYTES"
    /// The environment variable of the time, in seconds.
    public static let timeVariable = "SYNMESH_HISTORY_MAX_SECONDS"
    /// Smaller files are not worth their ends.
    public static let bytesMin = 65_536

    /// Bytes after which a file is ended; nil for any size.
    public let bytes: Int?
    /// Nanoseconds after which a file is ended, at the next record; nil for any time.
    public let nanoseconds: UInt64?

    /// Says when; nil where neither is given.
    public init?(bytes: Int?, nanoseconds: UInt64?) {
        guard bytes != nil || nanoseconds != nil else { return nil }
        self.bytes = bytes.map { max($0, Self.bytesMin) }
        self.nanoseconds = nanoseconds
    }

    /// What the environment says; nil where it says nothing that can be read.
    public init?(environment variable: (String) -> String?) {
        self.init(
            bytes: variable(Self.sizeVariable).flatMap { Int($0) },
            nanoseconds: variable(Self.timeVariable).flatMap { UInt64($0) }
                .map { $0.multipliedReportingOverflow(by: 1_000_000_000) }
                .flatMap { $0.overflow ? nil : $0.partialValue })
    }

    /// The path of a part of a history; the first has the history's own.
    static func path(of part: Int, after first: String) -> String {
        guard part > 1 else { return first }
        let end = ".mcap"
        let stem = first.hasSuffix(end) ? String(first.dropLast(end.count)) : first
        return "\(stem).\(part)\(end)"
    }
}
