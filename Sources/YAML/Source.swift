internal import Glibc

/// A file that diagnostics point into: its name as the user wrote it, and its lines.
public final class Source: Sendable {
    /// The most bytes that a file may have: no topology or scenario comes near it.
    public static let byteCountMax = 1 << 20

    /// The name that diagnostics print.
    public let name: String

    /// The file's content.
    public let bytes: [UInt8]

    /// The content's lines, without their line breaks.
    public let lines: [String]

    /// Names a text that is in memory.
    public init(name: String, bytes: [UInt8]) {
        self.name = name
        // A byte order mark says nothing in UTF-8, and would push the first line to the right.
        self.bytes = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
        lines = Self.lines(of: String(decoding: self.bytes, as: UTF8.self))
    }

    /// Names a text that is in memory.
    public convenience init(name: String, text: String) {
        self.init(name: name, bytes: Array(text.utf8))
    }

    /// Reads a file, or reports why it cannot be read and returns `nil`.
    ///
    /// Only regular files of at most `byteCountMax` bytes are read, so that neither a FIFO nor a
    /// device can hold the reader up.
    public static func read(_ path: String, reportingTo diagnostics: Diagnostics) -> Source? {
        func refuse(_ message: String, help: String? = nil) -> Source? {
            diagnostics.report(
                Diagnostic(
                    severity: .error, source: Source(name: path, bytes: []), message: message,
                    help: help))
            return nil
        }
        func reason() -> String { String(cString: strerror(errno)) }

        guard !path.utf8.contains(0) else { return refuse("a file's name holds no NUL") }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
        guard descriptor >= 0 else { return refuse("cannot open the file: \(reason())") }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else {
            return refuse("cannot examine the file: \(reason())")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            return refuse("not a regular file", help: "name a YAML file")
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        while bytes.count <= byteCountMax {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count == -1, errno == EINTR { continue }
            guard count >= 0 else { return refuse("cannot read the file: \(reason())") }
            if count == 0 { return Source(name: path, bytes: bytes) }
            bytes += chunk[..<count]
        }
        return refuse(tooLarge)
    }

    static let tooLarge = "the file is larger than 1 MiB"

    /// The lines as libyaml counts them: it also breaks at U+0085, U+2028 and U+2029.
    private static func lines(of text: String) -> [String] {
        var lines: [String] = []
        var line = String.UnicodeScalarView()
        var afterReturn = false
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\n" where afterReturn:
                afterReturn = false
            case "\n", "\r", "\u{85}", "\u{2028}", "\u{2029}":
                lines.append(String(line))
                line = String.UnicodeScalarView()
                afterReturn = scalar == "\r"
            default:
                line.append(scalar)
                afterReturn = false
            }
        }
        lines.append(String(line))
        return lines
    }
}

/// A place in a source.
public struct Location: Sendable {
    /// The file.
    public let source: Source
    /// The line, counted from 1.
    public let line: Int
    /// The column in Unicode scalars, counted from 1.
    public let column: Int
    /// How many Unicode scalars on the line are meant; 0 points between two.
    public let length: Int

    /// Names a place.
    public init(source: Source, line: Int, column: Int, length: Int) {
        self.source = source
        self.line = line
        self.column = column
        self.length = length
    }
}

extension Location: Hashable, Comparable, CustomStringConvertible {
    /// Whether both are the same place in files of the same name.
    public static func == (left: Location, right: Location) -> Bool {
        left.key == right.key && left.length == right.length
    }

    /// Feeds the place to a hasher.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(source.name)
        hasher.combine(line)
        hasher.combine(column)
        hasher.combine(length)
    }

    /// By file name, line, column.
    public static func < (left: Location, right: Location) -> Bool { left.key < right.key }

    /// `file:line:column`.
    public var description: String { "\(source.name):\(line):\(column)" }

    private var key: (String, Int, Int) { (source.name, line, column) }
}
