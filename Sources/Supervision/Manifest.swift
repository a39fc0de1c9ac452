internal import CLinux
internal import Glibc
internal import Synchronization

/// The files, sockets, shared-memory segments and directories that must not outlive the run.
///
/// One absolute path a line, in a file that the guardian reads when the orchestrator is gone, so a
/// path is written down before the thing itself is created. Nothing else is ever removed.
public final class Manifest: Sendable {
    /// Where it is written.
    public let path: String
    private let entries: Mutex<[String]>

    /// Creates an empty manifest, readable by this user alone.
    ///
    /// - Throws: `SupervisionError` when there is a file at `path` already.
    public init(creating path: String) throws(SupervisionError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw .system("could not create the manifest \(path)") }
        close(descriptor)
        self.path = path
        entries = Mutex([])
    }

    /// The paths that it names now.
    public var paths: [String] { entries.withLock { $0 } }

    /// Adds a path; once this returns, it will be cleaned even after `kill -9`.
    public func append(_ entry: String) throws(SupervisionError) {
        try Self.check(entry)
        let error = entries.withLock { entries -> SupervisionError? in
            if entries.contains(entry) { return nil }
            let descriptor = open(path, O_WRONLY | O_APPEND | O_NOFOLLOW | O_CLOEXEC)
            guard descriptor >= 0 else { return .system("could not open the manifest \(path)") }
            defer { close(descriptor) }
            let number = writeAll(entry + "\n", to: descriptor)
            guard number == 0 else {
                return .system("could not write \(entry) to the manifest \(path)", number)
            }
            guard fdatasync(descriptor) == 0 else {
                return .system("could not write the manifest \(path) to disk")
            }
            entries.append(entry)
            return nil
        }
        if let error { throw error }
    }

    /// Forgets a path, because whatever was there is gone or is meant to stay.
    public func remove(_ entry: String) throws(SupervisionError) {
        let error = entries.withLock { entries -> SupervisionError? in
            guard let index = entries.firstIndex(of: entry) else { return nil }
            var rest = entries
            rest.remove(at: index)
            if let error = Self.replace(path, with: rest) { return error }
            entries = rest
            return nil
        }
        if let error { throw error }
    }

    /// Removes everything that it names and is still there.
    public func clean() -> Cleaning {
        entries.withLock { entries in
            let cleaning = Self.clean(entries)
            entries = cleaning.failed
            _ = Self.replace(path, with: entries)
            return cleaning
        }
    }

    /// What a cleaning did.
    public struct Cleaning: Hashable, Sendable {
        /// What was there and is gone now.
        public var removed: [String] = []
        /// What was there and could not be removed.
        public var failed: [String] = []

        /// A cleaning that found nothing to do.
        package init() {}
    }

    /// Removes what the manifest at `path` names, and the manifest itself when all of it is gone.
    ///
    /// A manifest that is missing, is a link, or belongs to somebody else is left alone.
    package static func clean(at path: String) -> Cleaning {
        var status = stat()
        guard lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG,
            status.st_uid == geteuid(), let bytes = readSmallFile(path, limit: 16 << 20)
        else { return Cleaning() }
        let lines = bytes.split(separator: UInt8(ascii: "\n")).map {
            String(decoding: $0, as: UTF8.self)
        }
        let cleaning = clean(lines.filter { (try? check($0)) != nil })
        if cleaning.failed.isEmpty {
            // The second one is there when its writer was killed in the middle of a replacement.
            unlink(path)
            unlink(path + ".new")
        }
        return cleaning
    }

    private static func clean(_ entries: [String]) -> Cleaning {
        var cleaning = Cleaning()
        // Newest first: what is inside a directory was written down after the directory.
        for entry in entries.reversed() {
            switch synmesh_remove_tree(entry) {
            case 0: break
            case 1: cleaning.removed.append(entry)
            default: cleaning.failed.append(entry)
            }
        }
        return cleaning
    }

    /// Refuses what could never be a thing of one run: a mistake here removes people's files.
    private static func check(_ entry: String) throws(SupervisionError) {
        let parts = entry.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: true)
        let isPlain = parts.allSatisfy {
            !$0.elementsEqual(".".utf8) && !$0.elementsEqual("..".utf8)
        }
        guard entry.utf8.first == UInt8(ascii: "/"), parts.count >= 2, isPlain,
            entry != "/dev/shm", !entry.utf8.contains(UInt8(ascii: "\n"))
        else {
            throw SupervisionError(
                .refusedPath, attempt: "could not put \"\(entry)\" in the manifest",
                reason: "a manifest takes absolute paths of two parts or more, without . and ..",
                remedy: "Name the one file, socket, segment or directory that the run creates.")
        }
    }

    private static func replace(_ path: String, with entries: [String]) -> SupervisionError? {
        let temporary = path + ".new"
        unlink(temporary)
        let descriptor = open(
            temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { return .system("could not create \(temporary)") }
        defer { close(descriptor) }
        let number = writeAll(entries.map { $0 + "\n" }.joined(), to: descriptor)
        guard number == 0 else { return .system("could not write \(temporary)", number) }
        guard fdatasync(descriptor) == 0, rename(temporary, path) == 0 else {
            return .system("could not replace the manifest \(path)")
        }
        return nil
    }
}
