internal import CLinux
internal import Glibc

/// What of the program's files is in this process's memory.
enum ResidentPages {
    /// Lets go of the code and the constants that starting needed.
    ///
    /// Starting runs through most of the libraries once; what works afterwards is a small part of
    /// them. Only pages that are as they are in their file are let go of: the kernel maps them again
    /// when they are touched, out of its cache, which takes less than a microsecond. Where
    /// anything is unexpected, nothing happens.
    static func release() {
        // First, so that what the heap gives back does not count either.
        synmesh_trim_heap()
        guard let file = fopen("/proc/self/smaps", "re") else { return }
        defer { fclose(file) }
        var line: UnsafeMutablePointer<CChar>?
        var room = 0
        defer { free(line) }
        var mapping: Mapping?
        while getline(&line, &room, file) > 0, let line {
            let text = String(cString: line)
            if let next = Mapping(text) {
                mapping?.release()
                mapping = next
            } else {
                mapping?.read(text)
            }
        }
        // The last one is the kernel's own.
    }

    /// One range of addresses, and whether all of it is as it is in its file.
    private struct Mapping {
        private let range: Range<UInt>
        private let isFile: Bool
        private let isReadOnly: Bool
        /// Kilobytes that are this process's own; nil where the kernel has not said yet.
        private var own: Int?

        /// Reads `55d0c000-55d0e000 r-xp 00000000 08:01 1234   /path`; nil where it is no such line.
        init?(_ line: String) {
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            guard words.count >= 5 else { return nil }
            let ends = words[0].split(separator: "-")
            guard ends.count == 2, let start = UInt(ends[0], radix: 16),
                let end = UInt(ends[1], radix: 16), start < end
            else { return nil }
            range = start..<end
            isReadOnly = words[1].hasPrefix("r") && words[1].dropFirst().first == "-"
            isFile = words.count >= 6 && words[5].hasPrefix("/")
        }

        mutating func read(_ line: String) {
            guard line.hasPrefix("Private_Dirty:") || line.hasPrefix("Anonymous:") else { return }
            let words = line.split(separator: " ", omittingEmptySubsequences: true)
            let kilobytes = words.count > 1 ? Int(words[1]) : nil
            // What cannot be read may be anything.
            own = max(own ?? 0, kilobytes ?? .max)
        }

        func release() {
            guard isFile, isReadOnly, own == 0 else { return }
            // Nobody can have written to it since: it is read-only.
            madvise(
                UnsafeMutableRawPointer(bitPattern: range.lowerBound), range.count, MADV_DONTNEED)
        }
    }
}
