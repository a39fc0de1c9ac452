internal import Glibc
public import Recording

/// The history files that somebody names: a run's directory, a directory of files, or a file.
public struct HistoryFiles: Sendable, Hashable {
    /// A mesh of a run: its own, or one of its twins.
    public struct Part: Sendable, Hashable {
        /// Nothing for the run's own mesh, `twin-zmq` or `twin-nats` for those of a twin run.
        public let name: String
        /// The files, by name.
        public let paths: [String]
    }

    /// Where they were looked for.
    public let place: String
    /// The meshes that have histories.
    public let parts: [Part]

    /// All files of all meshes.
    public var paths: [String] { parts.flatMap(\.paths) }

    private static let partNames = ["", "twin-zmq", "twin-nats"]

    /// Looks for histories.
    ///
    /// - Parameter place: A file, a run's directory, or a directory with files that end in `.mcap`.
    /// - Throws: `HistoryError` where there is nothing of the kind.
    public init(_ place: String) throws(HistoryError) {
        self.place = place
        var status = stat()
        guard stat(place, &status) == 0 else {
            throw HistoryError(.read, place, .system(errno))
        }
        guard status.st_mode & S_IFMT == S_IFDIR else {
            parts = [Part(name: "", paths: [place])]
            return
        }
        var parts: [Part] = []
        for name in Self.partNames {
            let folder = name.isEmpty ? place : "\(place)/\(name)"
            let paths = try RunDirectory(folder).histories()
            if !paths.isEmpty { parts.append(Part(name: name, paths: paths)) }
        }
        if parts.isEmpty {
            let paths = try RunDirectory.histories(in: place)
            if !paths.isEmpty { parts = [Part(name: "", paths: paths)] }
        }
        guard !parts.isEmpty else { throw HistoryError(.read, place, .noHistories) }
        self.parts = parts
    }
}
