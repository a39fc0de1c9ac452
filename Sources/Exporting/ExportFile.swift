internal import CXXHash
internal import Glibc
internal import Recording

/// A text file that is being written, with its length and digest.
final class ExportFile {
    let name: String
    private let path: String
    private let descriptor: Int32
    private var pending: [UInt8] = []
    private let hash: OpaquePointer?
    private(set) var bytes = 0
    private(set) var records = 0

    /// Creates a file; one that exists is never touched.
    init(directory: String, name: String) throws(ExportError) {
        self.name = name
        path = "\(directory)/\(name)"
        descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw ExportError(path, String(cString: strerror(errno))) }
        hash = XXH3_createState()
        XXH3_64bits_reset(hash)
    }

    deinit {
        close(descriptor)
        XXH3_freeState(hash)
    }

    /// Writes a line that is a record.
    func write(record text: String) throws(ExportError) {
        records += 1
        try write(text)
    }

    /// Writes a line.
    func write(_ text: String) throws(ExportError) {
        pending.append(contentsOf: text.utf8)
        pending.append(UInt8(ascii: "\n"))
        if pending.count >= 1 << 18 { try flush() }
    }

    /// Ends the file, and says what it is.
    func finish() throws(ExportError) -> ExportedFile {
        try flush()
        return ExportedFile(
            name: name, records: records, bytes: bytes,
            digest: ContentDigest.text(XXH3_64bits_digest(hash)))
    }

    private func flush() throws(ExportError) {
        var done = 0
        while done < pending.count {
            let count = pending.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress.map { $0 + done }, $0.count - done)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw ExportError(path, String(cString: strerror(errno))) }
            done += count
        }
        XXH3_64bits_update(hash, pending, pending.count)
        bytes += pending.count
        pending.removeAll(keepingCapacity: true)
    }
}

/// A file that was written.
public struct ExportedFile: Sendable, Hashable {
    /// Its name in the directory.
    public let name: String
    /// Records in it.
    public let records: Int
    /// Its length in bytes.
    public let bytes: Int
    /// XXH3 of its bytes, 64 bits, as `xxh3:` and hexadecimal digits.
    public let digest: String
}

/// Why something could not be exported.
public struct ExportError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The file.
    public let path: String
    /// Why.
    public let reason: String

    init(_ path: String, _ reason: String) {
        self.path = path
        self.reason = reason
    }

    /// The attempt and the reason, with the remedy, on one line.
    public var description: String {
        "could not export to '\(path)': \(reason). Name a directory that is not there yet, on a file "
            + "system with room"
    }
}
