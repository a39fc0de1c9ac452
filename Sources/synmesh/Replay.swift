import Analysis
import ArgumentParser
import Foundation
import Histories
import JSON
import Recording
import Reporting
import Scenarios
import Topologies

struct Replay: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Play a recording again, in a live mesh, and compare what is delivered.",
        discussion: """
            Every agent of the recording is played by a double, which sends what was sent, when it was \
            sent, to whom it was sent, on either transport. With --alone and --topology one agent runs \
            for real among doubles, and what it sends is compared with what it sent then. Exit code 0 \
            when nothing was lost and everything matches, or differs as the rules allow.
            """)

    @Argument(
        help: "A run's directory, one of its meshes, or a directory of histories.",
        completion: .directory)
    var recording: String

    @Option(help: ArgumentHelp("zmq or nats.", valueName: "transport"), transform: named)
    var on = Wire.zmq

    @Option(
        help: ArgumentHelp(
            "So many times as fast as it was recorded, or 'max'.", valueName: "factor"))
    var speed = "1"

    @Option(
        help: ArgumentHelp(
            "Stop so many seconds after the first message; then nothing is compared.",
            valueName: "seconds"))
    var until: Double?

    @Option(help: ArgumentHelp("Run this agent for real, among doubles.", valueName: "agent"))
    var alone: String?

    @Option(
        help: "The topology of the agent that runs alone.", completion: .file(extensions: ["yaml"]))
    var topology: String?

    @Flag(help: "Send each message when Enter is pressed, and say to whom it was delivered.")
    var step = false

    @OptionGroup var rules: RuleArguments

    @OptionGroup var adjustments: AdjustmentArguments

    @OptionGroup var options: RunArguments

    @Flag(help: "Print JSON.")
    var json = false

    enum Wire: String, CaseIterable {
        case zmq, nats
    }

    private var factor: Double? {
        get throws {
            if speed == "max" { return nil }
            guard let factor = Double(speed), factor > 0, factor <= 1_000_000 else {
                throw ValidationError("--speed is a factor above 0, or 'max'.")
            }
            return factor
        }
    }

    func validate() throws {
        _ = try factor
        _ = try rules.all
        guard (alone == nil) == (topology == nil) else {
            throw ValidationError("--alone and --topology are given together.")
        }
        if let until, !(until > 0 && until < 1e6) {
            throw ValidationError("--until is a number of seconds above 0.")
        }
    }

    func run() async throws {
        let files = try historyFiles(recording)
        guard files.parts.count == 1, let part = files.parts.first else {
            let names = files.parts.map { "\(recording)/\($0.name)" }.joined(separator: ", ")
            printError("\(recording) holds several meshes; name one of \(names)")
            throw ExitStatus.badInput.code
        }
        let sends = try orBadInput { () throws(HistoryError) in
            try RecordedSends(
                paths: part.paths, until: until.map { UInt64($0 * 1e9) })
        }
        let folder = FileManager.default.temporaryDirectory
            .appending(path: "synmesh-replay-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(
            atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let loaded = try scenario(sends, part, in: folder)
        if step { return try await stepThrough(loaded, sends) }
        let (verdict, directory) = try await play(loaded, options: options.runOptions)
        var report: ComparisonReport?
        var damages: [String] = []
        if until == nil {
            let outcome = try compare(files, directory)
            report = outcome.report
            damages = outcome.damages
        }
        if let report {
            // The run's own verdict knows nothing of the recording.
            let diff = DiffReport(report, left: recording, right: directory)
            try (diff.json.canonical + "\n").write(
                toFile: directory + "/replay.json", atomically: true, encoding: .utf8)
        }
        show(verdict, directory, report)
        for damage in damages { printError(damage) }
        let isSame = report.map { DiffReport($0, left: "", right: "").isSame } ?? true
        if !isSame || !damages.isEmpty || verdict.exitCode != 0 {
            throw ExitStatus.notAsExpected.code
        }
    }

    private func stepThrough(_ loaded: Scenario.Loaded, _ sends: RecordedSends) async throws {
        let stepping = ReplayStepping(loaded, sends, until: until.map { UInt64($0 * 1e9) })
        do {
            print("Run directory: \(try await stepping.play(options: options.runOptions))")
        } catch let code as ExitCode {
            throw code
        } catch {
            printError("synmesh: \(error)")
            throw ExitStatus(for: error).code
        }
    }

    /// Writes what is to be played, and reads it as any scenario is read.
    private func scenario(
        _ sends: RecordedSends, _ part: HistoryFiles.Part, in folder: String
    ) throws -> Scenario.Loaded {
        var options = ReplayPlan.Options()
        options.transport = on.rawValue
        options.speed = try factor
        options.until = until
        options.alone = alone
        var adjusting = try adjustments.read()
        var path = "\(folder)/topology.yaml"
        var agents: [String]?
        if let topology, let alone {
            let own = try loadTopology(topology, adjusting: adjusting)
            guard own.agents.contains(where: { $0.name == alone }) else {
                printError("\(topology): there is no agent '\(alone)'")
                throw ExitStatus.badInput.code
            }
            agents = own.agents.map(\.name)
            path = URL(filePath: topology).standardizedFileURL.path
        }
        let plan: ReplayPlan
        do throws(ReplayPlan.Failure) {
            plan = try ReplayPlan(
                sends, place: URL(filePath: place(of: part)).standardizedFileURL.path,
                agents: agents, options: options)
        } catch {
            printError("\(recording): \(error)")
            throw ExitStatus.badInput.code
        }
        if let text = plan.topology {
            try text.write(toFile: path, atomically: true, encoding: .utf8)
        }
        var arguments = AdjustmentArguments()
        arguments.overrides = adjustments.overrides + plan.overrides
        arguments.envFile = adjustments.envFile
        adjusting = try arguments.read()
        let file = "\(folder)/replay.yaml"
        let text = "synmesh: 1\ntopology: \(path)\nload_timeout: 3600s\n" + plan.steps
        try text.write(toFile: file, atomically: true, encoding: .utf8)
        return try loadScenario(file, adjusting: adjusting)
    }

    private func place(of part: HistoryFiles.Part) -> String {
        part.name.isEmpty ? recording : "\(recording)/\(part.name)"
    }

    private func compare(
        _ files: HistoryFiles, _ directory: String
    ) throws -> HistoryComparison.Outcome {
        var comparing = ComparisonOptions(mode: .diff, rules: try rules.all)
        comparing.alignment = .continued
        if let alone { comparing.sources = [alone] }
        return try orBadInput { () throws(HistoryError) in
            try HistoryComparison.compare(
                files, try HistoryFiles(directory), options: comparing)
        }
    }

    private func show(_ verdict: Verdict, _ directory: String, _ report: ComparisonReport?) {
        let diff = report.map { DiffReport($0, left: recording, right: directory) }
        guard !json else {
            let document: Value = [
                "verdict": verdict.json, "directory": .string(directory),
                "comparison": diff?.json ?? .null,
            ]
            return print(document.canonical)
        }
        let colour = isColourful(descriptor: 1)
        print(TerminalReport(verdict, directory: directory).text(colour: colour))
        if let diff { print(diff.text(colour: colour)) }
    }
}
