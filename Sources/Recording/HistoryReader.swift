/// Reads histories: live, closed, sealed, cut or damaged.
public enum HistoryReader {
    /// Reads the history at `path`; what is wrong with the file stands in the history's notes.
    public static func read(path: String) throws(HistoryError) -> History {
        History(process: "")
    }
}
