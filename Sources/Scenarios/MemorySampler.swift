internal import Analysis
internal import Foundation
internal import Supervision
internal import Synchronization

/// Looks at what the processes of a mesh take while there is load.
///
/// What `/proc/PID/status` calls resident, without the pages of shared memory: those are a pool's,
/// whose size bounds them, and a process has more of them with each slot that it uses for the first
/// time. Pages of files that are mapped count.
final class MemorySampler: Sendable {
    private struct Key: Hashable {
        let process: String
        let incarnation: UInt32
    }

    private struct State {
        var samples: [Key: MemorySamples] = [:]
        /// How many looks make one sample.
        var stride: [Key: Int] = [:]
        var looks: [Key: Int] = [:]

        mutating func add(_ resident: Int, of key: Key, _ role: MemorySamples.Role) {
            looks[key, default: 0] += 1
            guard looks[key, default: 0].isMultiple(of: stride[key] ?? 1) else { return }
            let fresh = MemorySamples(
                process: key.process, incarnation: key.incarnation, role: role)
            samples[key, default: fresh].resident.append(resident)
            guard let kept = samples[key]?.resident, kept.count >= MemorySampler.samplesMax else {
                return
            }
            samples[key]?.resident = kept.indices.filter { !$0.isMultiple(of: 2) }.map { kept[$0] }
            stride[key, default: 1] *= 2
        }
    }

    private static let interval = Duration.milliseconds(50)
    /// Beyond this every second sample is forgotten, and from then on twice the time passes between
    /// two of them: a long run has as many as a short one, over all of its time.
    private static let samplesMax = 8_192

    private let state = Mutex(State())
    private let supervisor: ProcessSupervisor
    private let roles: [String: MemorySamples.Role]

    /// - Parameters:
    ///   - roles: The processes that are looked at.
    ///   - supervisor: Who knows their numbers.
    init(of roles: [String: MemorySamples.Role], by supervisor: ProcessSupervisor) {
        self.roles = roles
        self.supervisor = supervisor
    }

    /// Looks until the task is cancelled.
    func run() async {
        let clock = ContinuousClock()
        while !Task.isCancelled {
            let next = clock.now + Self.interval
            for status in await supervisor.statuses() {
                guard let role = roles[status.name], let process = status.process,
                    status.phase == .running, !status.isPaused
                else { continue }
                let key = Key(process: status.name, incarnation: status.incarnation)
                // One that has just ended is seen no more.
                guard let resident = Self.resident(of: process) else { continue }
                state.withLock { $0.add(resident, of: key, role) }
            }
            try? await clock.sleep(until: next)
        }
    }

    /// What was seen, by process and incarnation.
    var reports: [MemoryReport] {
        state.withLock { state in
            state.samples.sorted {
                ($0.key.process, $0.key.incarnation) < ($1.key.process, $1.key.incarnation)
            }.map { MemoryReport($0.value) }
        }
    }

    /// Bytes; nil where the process has ended.
    static func resident(of process: Int32) -> Int? {
        guard let text = try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)
        else { return nil }
        var kilobytes: [Substring: Int] = [:]
        for line in text.split(separator: "\n") where line.contains("Rss") {
            let words = line.split(whereSeparator: { $0 == ":" || $0 == "\t" || $0 == " " })
            if words.count > 1 { kilobytes[words[0]] = Int(words[1]) }
        }
        guard let own = kilobytes["RssAnon"], let files = kilobytes["RssFile"], own + files > 0
        else { return nil }
        return (own + files) * 1_024
    }
}
