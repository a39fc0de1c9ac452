internal import CXXHash
public import Wire

/// What the headers of a chunk say: whose content it is a piece of, and which.
public struct Chunk: Sendable {
    /// The envelope, without its content.
    public var envelope: Envelope
    /// Where in the content the piece begins.
    public var offset: Int
    /// The whole content's length.
    public var size: Int
    /// The whole content's digest, which comes with the last piece.
    public var digest: String?

    /// More than its own headers and the status line ever take.
    static let headerBytesMax = 192
    /// The header whose presence makes a message a chunk.
    static let offsetName: StaticString = "synmesh-chunk"

    /// Makes one.
    public init(of envelope: Envelope, offset: Int, size: Int, digest: String? = nil) {
        self.envelope = envelope
        self.offset = offset
        self.size = size
        self.digest = digest
    }

    /// The digest of a content, as the header has it.
    public static func digest(of content: [UInt8]) -> String {
        let digest = RunningDigest()
        content.withUnsafeBytes { digest.add($0) }
        return digest.text
    }

    /// Reads headers where they are.
    ///
    /// - Parameter header: Looks one up by its name.
    /// - Throws: `WireError` that names the header which is missing or malformed.
    init(headersInPlace header: (StaticString) -> UnsafePointer<CChar>?) throws(WireError) {
        func number(_ name: StaticString) throws(WireError) -> Int {
            guard let text = header(name) else { throw .missing(field: "\(name)") }
            guard let number = UInt64(decimal: text).flatMap({ Int(exactly: $0) }) else {
                throw .malformed(field: "\(name)")
            }
            return number
        }
        self.init(
            of: try Envelope(headersInPlace: header), offset: try number(Self.offsetName),
            size: try number("synmesh-size"),
            digest: header("synmesh-digest").map { String(cString: $0) })
    }

    /// Its own headers, to stand behind the envelope's.
    static func lines(offset: Int, size: Int, digest: String?) -> String {
        "\r\nsynmesh-chunk: \(offset)\r\nsynmesh-size: \(size)"
            + (digest.map { "\r\nsynmesh-digest: \($0)" } ?? "")
    }
}

/// XXH3 of bytes that come one piece after another.
final class RunningDigest {
    private let state: OpaquePointer?

    init() {
        state = XXH3_createState()
        XXH3_64bits_reset(state)
    }

    deinit { XXH3_freeState(state) }

    func add(_ bytes: UnsafeRawBufferPointer) {
        XXH3_64bits_update(state, bytes.baseAddress, bytes.count)
    }

    /// As the header has it.
    var text: String {
        let digits = String(XXH3_64bits_digest(state), radix: 16)
        return "xxh3:" + String(repeating: "0", count: 16 - digits.count) + digits
    }
}
