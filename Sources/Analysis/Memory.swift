/// How much memory the processes of a mesh may take while they work.
public struct MemoryPromise: Sendable, Hashable {
    /// How much more late samples may be than early ones, as a share; nil: no promise.
    public var growth: Double?
    /// The most bytes of any proxy.
    public var proxies: Int?
    /// The most bytes of any agent.
    public var agents: Int?

    /// A promise.
    public init(growth: Double? = nil, proxies: Int? = nil, agents: Int? = nil) {
        self.growth = growth
        self.proxies = proxies
        self.agents = agents
    }
}

/// What one process took, looked at again and again while there was load.
public struct MemorySamples: Sendable, Hashable {
    /// What it is to the promise.
    public enum Role: String, Sendable, Hashable, CaseIterable {
        case agent
        case proxy
    }

    /// The process.
    public var process: String
    /// Which start of it.
    public var incarnation: UInt32
    /// What it is.
    public var role: Role
    /// Resident bytes, in the order in which they were seen.
    public var resident: [Int]

    /// Samples.
    public init(process: String, incarnation: UInt32, role: Role, resident: [Int] = []) {
        self.process = process
        self.incarnation = incarnation
        self.role = role
        self.resident = resident
    }
}

/// The memory of one process, as the verdict has it.
public struct MemoryReport: Sendable, Hashable {
    /// The process.
    public var process: String
    /// Which start of it.
    public var incarnation: UInt32
    /// What it is.
    public var role: MemorySamples.Role
    /// How often it was looked at under load.
    public var samples: Int
    /// The median of an early fifth of the samples, the second one; nil where there were too few.
    public var early: Int?
    /// The median of the last fifth.
    public var late: Int?
    /// The largest.
    public var peak: Int

    /// Describes a process.
    public init(
        process: String, incarnation: UInt32, role: MemorySamples.Role, samples: Int, early: Int?,
        late: Int?, peak: Int
    ) {
        self.process = process
        self.incarnation = incarnation
        self.role = role
        self.samples = samples
        self.early = early
        self.late = late
        self.peak = peak
    }

    /// The fewest samples of a process by which its growth is judged: five for each fifth.
    public static let samplesMin = 25
    /// What may be more whatever the promise says: mapped windows of histories come and go in
    /// steps of this order, and a share of a small process is smaller than that.
    public static let slack = 2 << 20

    /// What the samples come to.
    ///
    /// The first fifth is left out: caches, queues and windows fill there.
    public init(_ samples: MemorySamples) {
        let values = samples.resident
        let fifth = values.count / 5
        let isEnough = values.count >= Self.samplesMin
        self.init(
            process: samples.process, incarnation: samples.incarnation, role: samples.role,
            samples: values.count,
            early: isEnough ? Self.median(values[fifth..<fifth * 2]) : nil,
            late: isEnough ? Self.median(values[(values.count - fifth)...]) : nil,
            peak: values.max() ?? 0)
    }

    private static func median(_ values: ArraySlice<Int>) -> Int {
        values.sorted()[values.count / 2]
    }
}

extension MemoryPromise {
    /// Judges what was seen.
    ///
    /// Processes that did not run long enough under load are judged by their size alone; where none
    /// of a role did, its growth is not known, and that is no pass.
    public func judge(_ reports: [MemoryReport]) -> [StepVerdict] {
        var verdicts: [StepVerdict] = []
        for report in reports {
            let limit = report.role == .proxy ? proxies : agents
            if let limit, report.peak > limit {
                verdicts.append(
                    StepVerdict(
                        .fail,
                        reason: "\(report.name) took \(Self.text(report.peak)) of memory, promised "
                            + "are at most \(Self.text(limit))."))
            }
            guard let growth, let early = report.early, let late = report.late else { continue }
            let bound = Double(early) * (1 + growth) + Double(MemoryReport.slack)
            guard Double(late) > bound else { continue }
            verdicts.append(
                StepVerdict(
                    .fail,
                    reason: "The memory of \(report.name) grew under load from "
                        + "\(Self.text(early)) to \(Self.text(late)), promised is at most "
                        + "\(Decimals.two(growth * 100)) % and \(Self.text(MemoryReport.slack))."))
        }
        for role in MemorySamples.Role.allCases where isPromised(to: role) {
            let those = reports.filter { $0.role == role }
            let needed = growth == nil ? 1 : MemoryReport.samplesMin
            if those.contains(where: { $0.samples >= needed }) { continue }
            verdicts.append(
                StepVerdict(
                    .inconclusive,
                    reason: "A promise on memory could not be judged: no \(role.rawValue) was seen "
                        + "\(needed) times under load."))
        }
        return verdicts
    }

    private func isPromised(to role: MemorySamples.Role) -> Bool {
        growth != nil || (role == .proxy ? proxies : agents) != nil
    }

    private static func text(_ bytes: Int) -> String {
        Decimals.two(Double(bytes) / 1_000_000) + " MB"
    }
}

extension MemoryReport {
    fileprivate var name: String {
        incarnation == 1 ? "'\(process)'" : "'\(process)' (incarnation \(incarnation))"
    }
}
