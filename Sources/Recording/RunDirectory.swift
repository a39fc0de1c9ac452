internal import Glibc

/// The names of what a run leaves behind.
///
///     histories/NAME.INCARNATION.mcap   what each process recorded
///     processes/NAME.log                what each process printed
///     events.jsonl                      what happened to processes, links and steps
public struct RunDirectory: Sendable, Hashable {
    /// The directory.
    public let path: String

    /// Names a run's directory; nothing is made or read.
    public init(_ path: String) { self.path = path }

    /// Where the histories stand.
    public var historiesPath: String { "\(path)/histories" }

    /// Where the processes' output stands.
    public var processesPath: String { "\(path)/processes" }

    /// The run's events.
    public var eventsPath: String { "\(path)/events.jsonl" }

    /// The history of one incarnation of a process.
    public func historyPath(process: String, incarnation: UInt32) -> String {
        "\(historiesPath)/\(process).\(incarnation).mcap"
    }

    /// The output of a process.
    public func processLogPath(name: String) -> String { "\(processesPath)/\(name).log" }

    /// Makes the directory, its parents and what stands in it; what is there already stays.
    ///
    /// - Throws: `HistoryError` with the directory that could not be made.
    public func create() throws(HistoryError) {
        for directory in [historiesPath, processesPath] {
            var end = directory.startIndex
            repeat {
                end =
                    directory[directory.index(after: end)...].firstIndex(of: "/")
                    ?? directory.endIndex
                let part = String(directory[..<end])
                guard mkdir(part, 0o755) == 0 || errno == EEXIST else {
                    throw .last(.create, part)
                }
            } while end != directory.endIndex
        }
    }

    /// The paths of the run's histories, by name; none where there is no such directory.
    ///
    /// - Throws: `HistoryError` when the directory cannot be read.
    public func histories() throws(HistoryError) -> [String] {
        try Self.histories(in: historiesPath)
    }

    /// The paths of the histories in a directory, by name; none where there is no such directory.
    ///
    /// - Throws: `HistoryError` when the directory cannot be read.
    public static func histories(in path: String) throws(HistoryError) -> [String] {
        guard let directory = opendir(path) else {
            if errno == ENOENT { return [] }
            throw .last(.list, path)
        }
        defer { closedir(directory) }
        var names: [String] = []
        while let entry = readdir(directory) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasSuffix(".mcap") { names.append(name) }
        }
        return names.sorted().map { "\(path)/\($0)" }
    }
}
