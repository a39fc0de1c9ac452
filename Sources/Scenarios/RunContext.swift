internal import Foundation
internal import JSON
package import Recording
package import Supervision
internal import Synchronization
internal import Topologies
package import Wire
internal import YAML

/// What a user may choose about a run, beside the scenario itself.
public struct RunOptions: Sendable {
    /// The folder that runs are written to.
    public var logs: String
    /// Overrides the scenario's seed.
    public var seed: UInt64?
    /// Whether the lines of all processes are shown.
    public var showsOutput: Bool
    /// Told what happens, a line at a time.
    public var progress: @Sendable (String) -> Void
    /// Asks the person there whether to go on, for so long at most; nil where nobody is, and its answer is
    /// nil where none came.
    public var ask: (@Sendable (_ question: String, _ timeout: Duration) async -> Bool?)?

    /// Options.
    public init(
        logs: String = "logs", seed: UInt64? = nil, showsOutput: Bool = false,
        progress: @escaping @Sendable (String) -> Void = { _ in }
    ) {
        self.logs = logs
        self.seed = seed
        self.showsOutput = showsOutput
        self.progress = progress
    }
}

/// Why a run could not be made: the machine lacks something.
public struct EnvironmentError: Error, Sendable, CustomStringConvertible {
    /// What was attempted.
    public let attempt: String
    /// Why it failed.
    public let reason: String
    /// What to do about it, where that is known.
    public let remedy: String?

    init(_ attempt: String, reason: String, remedy: String? = nil) {
        self.attempt = attempt
        self.reason = reason
        self.remedy = remedy
    }

    /// Attempt, reason and remedy.
    public var description: String {
        let sentence = "\(attempt): \(reason)"
        return sentence + (remedy.map { (sentence.hasSuffix(".") ? " " : ". ") + $0 } ?? "")
    }
}

/// What all parts of one run share.
package struct RunContext: Sendable {
    let name: String
    /// The run's id.
    package let run: String
    let seed: UInt64
    /// The run's clock.
    package let clock: RunClock
    let started: UInt64
    /// The run's directory.
    package let directory: RunDirectory
    /// For sockets: short, private, removed at the end.
    package let runtime: String
    /// Where the programs of this package are: next to the running one.
    let programs: String
    let manifest: Manifest
    /// Owns all processes of the run.
    package let supervisor: ProcessSupervisor
    let events: EventLog
    let options: RunOptions

    /// Makes a run's directory, sockets' folder and supervisor.
    ///
    /// - Throws: `EnvironmentError` when the machine lacks something.
    package init(
        name: String, seed: UInt64, guardian: Guardian, options: RunOptions
    ) throws {
        let clock = RunClock.starting()
        self.name = name
        self.seed = seed
        self.clock = clock
        self.options = options
        started = clock.now
        run = Self.runName(at: started)
        manifest = guardian.manifest
        programs = Machine.programsFolder
        do {
            // Absolute, since a program of the user's runs in another folder.
            let logs = URL(filePath: options.logs).standardizedFileURL.path
            directory = RunDirectory("\(logs)/\(name)/\(run)")
            try directory.create()
            try Self.pointLatest(to: run, in: "\(logs)/\(name)")
            runtime = try Self.makeRuntimeFolder(run: run, manifest: guardian.manifest)
            events = try EventLog(path: directory.eventsPath, clock: clock)
            supervisor = try ProcessSupervisor(
                token: run, console: options.showsOutput ? .standardError() : nil,
                journal: runtime + "/" + MeshRecord.journal)
            try MeshRecord(of: self, topology: "", guardian: guardian.process).write(to: runtime)
        } catch let error as SupervisionError {
            throw EnvironmentError(error.attempt, reason: error.reason, remedy: error.remedy)
        } catch {
            throw EnvironmentError(
                "could not make the run's directory", reason: error.localizedDescription,
                remedy: "Name a folder that can be written to with --logs.")
        }
    }

    /// Milliseconds from the start of the run.
    func milliseconds(at time: UInt64) -> Int {
        Int(clamping: (Int64(time) - Int64(started)) / 1_000_000)
    }

    /// Tells the user.
    func report(_ line: String) { options.progress(line) }

    /// Appends to `events.jsonl`; a full disk must not end the run, so a lost line is reported.
    func note(_ event: String, _ fields: [String: Value] = [:]) {
        do {
            try events.append(event, fields)
        } catch {
            report("warning: the event '\(event)' is not in events.jsonl: \(error)")
        }
    }

    /// Writes a file of the run's directory.
    func write(_ text: String, to name: String) throws {
        try Data(text.utf8).write(to: URL(filePath: "\(directory.path)/\(name)"))
    }

    /// Writes the topology as its file has it, and what results of it where that is another text.
    func write(_ topology: Topology) throws {
        let text = String(decoding: topology.source.bytes, as: UTF8.self)
        try write(text, to: "topology.yaml")
        if topology.isAdjusted { try write(topology.rendered, to: "topology.rendered.yaml") }
    }

    /// Removes the sockets' folder; what cannot be removed shows in the certificate.
    package func removeRuntimeFolder() { try? FileManager.default.removeItem(atPath: runtime) }

    /// The longest path of a runtime folder, for checking a topology before there is a run.
    static var runtimeParent: String {
        let environment = ProcessInfo.processInfo.environment
        if let runtime = environment["XDG_RUNTIME_DIR"], !runtime.isEmpty {
            return runtime + "/synmesh"
        }
        return "/tmp/synmesh-\(getuid())"
    }

    /// `latest` is a convenience: of two runs that start together, either may have it.
    private static func pointLatest(to run: String, in parent: String) throws {
        let files = FileManager.default
        let link = parent + "/latest"
        let temporary = "\(link).\(run)"
        try files.createSymbolicLink(atPath: temporary, withDestinationPath: run)
        if rename(temporary, link) != 0 { try? files.removeItem(atPath: temporary) }
    }

    private static func makeRuntimeFolder(run: String, manifest: Manifest) throws -> String {
        let files = FileManager.default
        let parent = runtimeParent
        try files.createDirectory(
            atPath: parent, withIntermediateDirectories: true,
            attributes: [.posixPermissions: 0o700])
        let folder = parent + "/" + run
        // Named first: a crash between the two leaves nothing that the guardian does not know.
        try manifest.append(folder)
        try files.createDirectory(
            atPath: folder, withIntermediateDirectories: false,
            attributes: [.posixPermissions: 0o700])
        return folder
    }

    /// Sorts by time and is unique on the machine: the time, the process.
    private static func runName(at nanoseconds: UInt64) -> String {
        let date = Date(timeIntervalSince1970: Double(nanoseconds / 1_000_000_000))
        let text = date.formatted(
            .verbatim(
                """
                \(year: .defaultDigits)\(month: .twoDigits)\(day: .twoDigits)-\
                \(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased))\
                \(minute: .twoDigits)\(second: .twoDigits)
                """, timeZone: .gmt, calendar: Calendar(identifier: .gregorian)))
        let name = "\(text)-\(getpid())"
        // A process that rehearses twice within a second has two runs.
        let number = names.withLock { names in
            names[name, default: 0] += 1
            return names[name] ?? 1
        }
        return number == 1 ? name : "\(name)-\(number)"
    }

    private static let names = Mutex<[String: Int]>([:])
}

/// The facts of this machine that a topology is checked against.
public enum Machine {
    /// The longest folder that a run's sockets may be in.
    public static var runtimeFolder: String {
        RunContext.runtimeParent + "/20260101-000000-4194304"
    }

    /// The path of the running program.
    public static var program: String {
        let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return own ?? CommandLine.arguments.first ?? "synmesh"
    }

    /// Where the programs of this package are: next to the running one.
    public static var programsFolder: String {
        let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return own.map { String($0[..<($0.lastIndex(of: "/") ?? $0.startIndex)]) } ?? "."
    }
}
