/// Rewrites a history with chunks, checksums, index and summary.
public enum HistorySealer {
    /// Seals the history at `path` in place.
    public static func seal(path: String) throws(HistoryError) {}
}
