internal import CLinux
internal import Glibc

/// What is left of a run whose orchestrator and guardian were killed together.
public struct Remains: Hashable, Sendable {
    /// What still runs.
    public let processes: [ProcessRecord]

    /// Looks for what still runs: whatever carries the run's token in its environment, whatever was
    /// noted down when it was started, by its number and the time of its start, and what descends
    /// from either.
    ///
    /// - Parameters:
    ///   - token: The run's token.
    ///   - journal: Where the run's starts were noted down.
    public init(token: String, journal: String) {
        processes = Self.find(token, Self.noted(in: journal), in: ProcessTable.all())
    }

    /// Kills it all, and removes what a manifest names.
    ///
    /// - Parameters:
    ///   - token: The run's token.
    ///   - journal: Where the run's starts were noted down.
    ///   - manifest: What names the files that must not outlive it.
    /// - Returns: What was killed and removed, and what is left all the same.
    public static func clean(token: String, journal: String, manifest: String) -> Outcome {
        let noted = noted(in: journal)
        let swept = Extermination.killAll(limit: .seconds(5)) { table in
            find(token, noted, in: table)
        } reap: {
        }
        let cleaning = Manifest.clean(at: manifest)
        return Outcome(
            killed: swept.killed, remaining: swept.remaining, removed: cleaning.removed,
            failed: cleaning.failed)
    }

    /// What a cleaning did.
    public struct Outcome: Hashable, Sendable {
        /// What was killed.
        public let killed: [ProcessRecord]
        /// What lives on all the same.
        public let remaining: [ProcessRecord]
        /// The files that were removed.
        public let removed: [String]
        /// The files that could not be removed.
        public let failed: [String]
    }

    private static func noted(in journal: String) -> Set<ProcessIdentity> {
        guard let bytes = readSmallFile(journal, limit: 16 << 20) else { return [] }
        let identities = bytes.split(separator: UInt8(ascii: "\n")).compactMap {
            line -> ProcessIdentity? in
            let fields = line.split(separator: UInt8(ascii: " ")).map {
                String(decoding: $0, as: UTF8.self)
            }
            guard fields.count >= 2, let process = Int32(fields[0]), let start = UInt64(fields[1])
            else { return nil }
            return ProcessIdentity(process: process, startTicks: start)
        }
        return Set(identities)
    }

    private static func find(
        _ token: String, _ noted: Set<ProcessIdentity>, in table: [ProcessRecord]
    ) -> [ProcessRecord] {
        var found = Set(ProcessTable.carrying(["SYNMESH_TOKEN=\(token)"], in: table))
        found.formUnion(
            table.filter { record in
                !record.isZombie
                    && noted.contains(
                        ProcessIdentity(process: record.process, startTicks: record.startTicks))
            })
        for record in found {
            found.formUnion(ProcessTable.descendants(of: record.process, in: table))
        }
        return found.filter { $0.process != getpid() }.sorted { $0.process < $1.process }
    }
}

/// Where the starts of a run's processes are noted down, for whoever must find them without it.
final class Journal {
    private let descriptor: CInt

    init(appendingTo path: String) throws(SupervisionError) {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .system("could not write the journal \(path)") }
    }

    deinit { close(descriptor) }

    /// One line: the number, the start, the name.
    func note(_ child: Child, named name: String) {
        guard let record = ProcessTable.record(of: child.process) else { return }
        writeAll("\(child.process) \(record.startTicks) \(name)\n", to: descriptor)
    }
}
