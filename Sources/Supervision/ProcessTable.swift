internal import Glibc

/// A process as /proc shows it at one instant.
public struct ProcessRecord: Hashable, Sendable {
    /// Its number.
    public let process: Int32
    /// The number of its parent.
    public let parent: Int32
    /// Its process group.
    public let group: Int32
    /// Whether a signal keeps it from running.
    public let isStopped: Bool
    /// Whether it has ended and only waits to be reaped: then it runs no code and holds nothing.
    public let isZombie: Bool
    /// When it started, in clock ticks since boot; with the number, this names a process for good.
    public let startTicks: UInt64
    /// The first 15 bytes of its program's name.
    public let name: String
}

/// Whom a process has with it.
public enum ProcessFamily {
    /// The living processes of its group, and its descendants wherever they are.
    public static func members(of process: Int32) -> [ProcessRecord] {
        let table = ProcessTable.all()
        let group = table.filter { $0.group == process && !$0.isZombie }
        let all = Set(group).union(ProcessTable.descendants(of: process, in: table))
        return all.sorted { $0.process < $1.process }
    }
}

/// What /proc knows.
enum ProcessTable {
    /// All processes that this user may see.
    static func all() -> [ProcessRecord] {
        guard let directory = opendir("/proc") else { return [] }
        defer { closedir(directory) }
        var records: [ProcessRecord] = []
        while let entry = readdir(directory) {
            let process = withUnsafePointer(to: &entry.pointee.d_name) { name in
                name.withMemoryRebound(to: CChar.self, capacity: 256) { Int32(atoi($0)) }
            }
            if process > 0, let record = record(of: process) { records.append(record) }
        }
        return records
    }

    /// One process; nil when there is none.
    static func record(of process: Int32) -> ProcessRecord? {
        readSmallFile("/proc/\(process)/stat").flatMap { parse($0, process: process) }
    }

    /// `pid (name) state parent group ...`: the name may hold spaces and brackets.
    private static func parse(_ bytes: [UInt8], process: Int32) -> ProcessRecord? {
        guard let opening = bytes.firstIndex(of: UInt8(ascii: "(")),
            let closing = bytes.lastIndex(of: UInt8(ascii: ")")), opening < closing
        else { return nil }
        let fields = bytes[(closing + 1)...].split(separator: UInt8(ascii: " "))
        guard fields.count > 19, let state = fields[0].first, let parent = number(fields[1]),
            let group = number(fields[2]), let start = number(fields[19])
        else { return nil }
        return ProcessRecord(
            process: process, parent: Int32(clamping: parent), group: Int32(clamping: group),
            isStopped: state == UInt8(ascii: "T"),
            isZombie: state == UInt8(ascii: "Z") || state == UInt8(ascii: "X"),
            startTicks: UInt64(clamping: start),
            name: String(decoding: bytes[(opening + 1)..<closing], as: UTF8.self))
    }

    private static func number(_ digits: ArraySlice<UInt8>) -> Int64? {
        Int64(String(decoding: digits, as: UTF8.self))
    }

    /// Whether all of `entries`, written NAME=VALUE, are in a process's environment.
    static func environment(of process: Int32, contains entries: [String]) -> Bool {
        guard let bytes = readSmallFile("/proc/\(process)/environ"), !bytes.isEmpty else {
            return false
        }
        let present = bytes.split(separator: 0)
        return entries.allSatisfy { entry in
            let wanted = Array(entry.utf8)
            return present.contains { $0.elementsEqual(wanted) }
        }
    }

    /// The living processes that carry all of `entries` in their environment.
    ///
    /// This process and those that it descends from are never among them, whatever environment they
    /// were started with: a rehearsal inside a rehearsal must not end the outer one.
    static func carrying(_ entries: [String], in table: [ProcessRecord]) -> [ProcessRecord] {
        let spared = ancestry(in: table)
        return table.filter { record in
            !record.isZombie && !spared.contains(record.process)
                && environment(of: record.process, contains: entries)
        }
    }

    /// The living processes that carry an entry, by what another variable of theirs says.
    ///
    /// One look for all of them, where `carrying` takes one for each. It spares the same ones.
    static func byEnvironment(
        _ entry: String, valueOf variable: String, in table: [ProcessRecord]
    ) -> [String: [ProcessRecord]] {
        let wanted = Array(entry.utf8)
        let prefix = Array((variable + "=").utf8)
        let spared = ancestry(in: table)
        var found: [String: [ProcessRecord]] = [:]
        for record in table where !record.isZombie && !spared.contains(record.process) {
            guard let bytes = readSmallFile("/proc/\(record.process)/environ"), !bytes.isEmpty
            else {
                continue
            }
            let present = bytes.split(separator: 0)
            guard present.contains(where: { $0.elementsEqual(wanted) }),
                let value = present.first(where: { $0.starts(with: prefix) })
            else { continue }
            let text = String(decoding: value.dropFirst(prefix.count), as: UTF8.self)
            found[text, default: []].append(record)
        }
        return found
    }

    /// This process and those that it descends from.
    private static func ancestry(in table: [ProcessRecord]) -> Set<Int32> {
        let parents = Dictionary(
            table.map { ($0.process, $0.parent) }, uniquingKeysWith: { first, _ in first })
        var ancestry: Set<Int32> = []
        var next: Int32? = getpid()
        while let process = next, ancestry.insert(process).inserted { next = parents[process] }
        return ancestry
    }

    /// The living descendants of a process, by parentage.
    static func descendants(of root: Int32, in table: [ProcessRecord]) -> [ProcessRecord] {
        let children = Dictionary(grouping: table, by: \.parent)
        var found: [ProcessRecord] = []
        var pending = [root]
        var seen: Set<Int32> = [root]
        while let parent = pending.popLast() {
            for child in children[parent] ?? [] where seen.insert(child.process).inserted {
                pending.append(child.process)
                if !child.isZombie { found.append(child) }
            }
        }
        return found
    }
}
