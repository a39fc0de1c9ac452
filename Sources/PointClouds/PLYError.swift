/// Why a PLY file cannot be read, where, and what would help.
public struct PLYError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of trouble it is.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// The file is something else.
        case notPLY = "not PLY"
        /// The header breaks the format's rules.
        case header = "malformed header"
        /// The format is right and we do not read it.
        case unsupported = "unsupported format"
        /// The vertices have no position.
        case missingCoordinates = "missing coordinates"
        /// The file ends before what its header promises.
        case truncated = "truncated"
        /// The header promises more or less than the file can hold.
        case wrongCount = "wrong count"
        /// A coordinate is infinite or no number.
        case notFinite = "coordinate not finite"
        /// A value is not of its declared type.
        case value = "malformed value"
    }

    /// A place in the file.
    public enum Location: Hashable, Sendable, CustomStringConvertible {
        /// A line of text, counted from 1.
        case line(Int)
        /// An offset into binary data, counted from 0.
        case byte(Int)

        /// `line 3` or `byte 512`.
        public var description: String {
            switch self {
            case .line(let line): "line \(line)"
            case .byte(let offset): "byte \(offset)"
            }
        }
    }

    /// What kind of trouble it is.
    public let kind: Kind
    /// Where it was found.
    public let location: Location
    /// What was found there.
    public let reason: String
    /// What to do about it.
    public let remedy: String

    /// One line for a person.
    public var description: String {
        "cannot read the PLY (\(kind.rawValue)): \(location): \(reason); \(remedy)"
    }

    init(_ kind: Kind, _ location: Location, _ reason: String, remedy: String) {
        self.kind = kind
        self.location = location
        self.reason = reason
        self.remedy = remedy
    }

    static let writeAgain = "export the file again from the program that made it"
}

/// A word of a file as a message may show it: short, without control characters.
func quoted(_ word: some Sequence<UInt8>) -> String {
    let start = Array(word.prefix(41))
    let shown = String(decoding: start.prefix(40), as: UTF8.self).unicodeScalars.map { scalar in
        scalar.value < 0x20 || scalar.value == 0x7F ? "?" : String(Character(scalar))
    }
    return "'" + shown.joined() + (start.count > 40 ? "…" : "") + "'"
}
