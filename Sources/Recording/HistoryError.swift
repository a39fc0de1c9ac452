internal import Glibc

/// Why a history could not be written, read or sealed.
public struct HistoryError: Error, Hashable, Sendable {
    /// What was being attempted.
    public enum Attempt: String, Hashable, Sendable {
        case create = "create"
        case extend = "extend"
        case record = "record into"
        case close = "close"
        case read = "read"
        case seal = "seal"
        case write = "write"
        case list = "list"
    }

    /// Why it failed.
    public enum Reason: Hashable, Sendable {
        /// The system refused, with this `errno`.
        case system(Int32)
        /// All 65,535 channels of the file are taken.
        case channelsExhausted
        /// The writer was sealed before.
        case closed
        /// The first bytes are not those of an MCAP file.
        case notMCAP
        /// Another process still writes the file.
        case inUse
        /// The file is damaged; sealing it would make the loss look whole.
        case damaged([String])
        /// What was read back is not what was written.
        case readBackDiffers
        /// The file is shorter than it was.
        case shortened
        /// More files would be written at once than is allowed.
        case tooManyFiles(Int)
        /// There are no histories.
        case noHistories
    }

    /// What was being attempted.
    public let attempt: Attempt
    /// The file or directory.
    public let path: String
    /// Why it failed.
    public let reason: Reason

    /// Makes an error.
    public init(_ attempt: Attempt, _ path: String, _ reason: Reason) {
        self.attempt = attempt
        self.path = path
        self.reason = reason
    }

    /// Whether there is no room: disk full, quota used up, or the file-size limit reached.
    public var isFull: Bool {
        switch reason {
        case .system(let code): code == ENOSPC || code == EDQUOT || code == EFBIG
        default: false
        }
    }

    /// The error that the system just reported on this thread.
    static func last(_ attempt: Attempt, _ path: String) -> HistoryError {
        HistoryError(attempt, path, .system(errno))
    }
}

extension HistoryError: CustomStringConvertible {
    /// The attempt, the reason, and a remedy where there is one, on one line.
    public var description: String {
        let failure = "could not \(attempt.rawValue) '\(path)': \(reason)"
        guard let remedy else { return failure }
        return "\(failure). \(remedy)"
    }

    /// What the reader can do about it, where there is something to do.
    public var remedy: String? {
        switch reason {
        case .system(ENOSPC), .system(EDQUOT):
            "Free space on that file system; recording goes on as soon as there is room."
        case .system(EFBIG): "Raise the file-size limit (ulimit -f)."
        case .system(EEXIST): "Histories are never overwritten: start a new incarnation or run."
        case .system(EACCES): "Check the permissions of the file and of its directory."
        case .system: nil
        case .channelsExhausted:
            "An MCAP file holds 65,535 channels, one for each flow, type, transport and direction;"
                + " use fewer message types or destinations in one process."
        case .closed: "Record before sealing."
        case .notMCAP: "Is it a history? Their names end in .mcap."
        case .inUse: "Seal it after the process that writes it has ended."
        case .damaged: "Read it as it is: what stands before the damage is intact."
        case .tooManyFiles: "Split by something that makes fewer of them."
        case .noHistories: "Name a file, a directory of them, or a run's, as logs/NAME/latest."
        case .shortened: "Histories are only ever appended to: what has cut it?"
        case .readBackDiffers: "The original was left as it is; check the disk."
        }
    }
}

extension HistoryError.Reason: CustomStringConvertible {
    /// The reason, as part of a sentence.
    public var description: String {
        switch self {
        case .system(let code): String(cString: strerror(code))
        case .channelsExhausted: "no channel is left"
        case .closed: "the writer is closed"
        case .notMCAP: "not an MCAP file"
        case .inUse: "another process still writes it"
        case .damaged(let notes): "it is damaged: " + notes.joined(separator: "; ")
        case .tooManyFiles(let most): "it would be more than \(most) files"
        case .noHistories: "no histories there"
        case .shortened: "it is shorter than it was"
        case .readBackDiffers: "what was read back is not what was written"
        }
    }
}
