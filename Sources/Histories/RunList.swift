public import Analysis
internal import Foundation
internal import JSON

/// A run as its directory tells of it.
public struct RunEntry: Sendable {
    /// How far a run came.
    public enum State: Sendable {
        /// It ended with a verdict.
        case judged(Verdict)
        /// It has none: a mesh that was brought up without a scenario, a run that goes on, or one that was
        /// killed.
        case unjudged
        /// Its verdict cannot be read, for this reason.
        case unreadable(String)
    }

    /// What was run: the scenario's name, or the topology's.
    public let name: String
    /// The run's own name, which sorts by time.
    public let run: String
    /// Where it is.
    public let directory: String
    /// When its directory was last written to, in seconds since 1970.
    public let modified: Int
    /// The bytes of its files.
    public let bytes: Int
    /// How far it came.
    public let state: State

    /// The verdict, where there is one.
    public var verdict: Verdict? {
        guard case .judged(let verdict) = state else { return nil }
        return verdict
    }
}

/// The runs of a logs' folder, as the directories themselves tell: there is no index to go wrong.
public enum RunList {
    /// The runs below a folder, the oldest first.
    ///
    /// - Parameters:
    ///   - folder: The folder of logs: `folder/NAME/RUN`.
    ///   - now: Seconds since 1970, for files whose time cannot be read.
    /// - Returns: None where there is no such folder.
    public static func runs(in folder: String, now: Int) -> [RunEntry] {
        let files = FileManager.default
        var runs: [RunEntry] = []
        for name in (try? files.contentsOfDirectory(atPath: folder)) ?? [] {
            for run in (try? files.contentsOfDirectory(atPath: "\(folder)/\(name)")) ?? [] {
                let directory = "\(folder)/\(name)/\(run)"
                guard isRun(directory) else { continue }
                let attributes = try? files.attributesOfItem(atPath: directory)
                let modified = attributes?[.modificationDate] as? Date
                runs.append(
                    RunEntry(
                        name: name, run: run, directory: directory,
                        modified: modified.map { Int($0.timeIntervalSince1970) } ?? now,
                        bytes: bytes(of: directory), state: state(of: directory)))
            }
        }
        return runs.sorted { ($0.run, $0.name) < ($1.run, $1.name) }
    }

    /// What of some runs goes, so that what stays is young, few and small enough.
    ///
    /// - Parameters:
    ///   - runs: The oldest first.
    ///   - age: Seconds; older ones go. Nil for any age.
    ///   - keep: Of each name so many of the youngest stay, whatever their age and size.
    ///   - bytes: The oldest go until the rest is no larger. Nil for any size.
    ///   - now: Seconds since 1970.
    /// - Returns: Those that go, the oldest first.
    public static func prunable(
        _ runs: [RunEntry], olderThan age: Int?, keeping keep: Int, within bytes: Int?, now: Int
    ) -> [RunEntry] {
        var kept: [String: Int] = [:]
        var isKept: Set<String> = []
        for run in runs.reversed() where kept[run.name, default: 0] < keep {
            kept[run.name, default: 0] += 1
            isKept.insert(run.directory)
        }
        var total = runs.reduce(0) { $0 + $1.bytes }
        var gone: [RunEntry] = []
        for run in runs where !isKept.contains(run.directory) {
            let isOld = age.map { now - run.modified > $0 } ?? false
            let isTooMuch = bytes.map { total > $0 } ?? false
            guard isOld || isTooMuch else { continue }
            total -= run.bytes
            gone.append(run)
        }
        return gone
    }

    /// Removes a run's directory.
    ///
    /// - Throws: What the system says.
    public static func remove(_ run: RunEntry) throws {
        try FileManager.default.removeItem(atPath: run.directory)
    }

    /// A directory, no link, with something in it that only runs have.
    private static func isRun(_ directory: String) -> Bool {
        let files = FileManager.default
        let attributes = try? files.attributesOfItem(atPath: directory)
        guard attributes?[.type] as? FileAttributeType == .typeDirectory else { return false }
        return ["events.jsonl", "verdict.json", "histories"].contains {
            files.fileExists(atPath: "\(directory)/\($0)")
        }
    }

    private static func state(of directory: String) -> RunEntry.State {
        guard let data = FileManager.default.contents(atPath: "\(directory)/verdict.json") else {
            return .unjudged
        }
        do {
            return .judged(try Verdict(json: Value(parsing: Array(data))))
        } catch {
            return .unreadable("\(error)")
        }
    }

    private static func bytes(of directory: String) -> Int {
        let names = FileManager.default.enumerator(atPath: directory)
        var total = 0
        while names?.nextObject() != nil {
            total += (names?.fileAttributes?[.size] as? Int) ?? 0
        }
        return total
    }
}
