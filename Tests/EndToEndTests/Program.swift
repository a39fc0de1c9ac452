import Foundation
import Glibc
import JSON
import Testing

/// The built `synmesh`, run as a user runs it.
struct Program {
    /// What a finished program left.
    struct Ending: Sendable {
        var exitCode: Int32
        var output: String
        var errors: String
    }

    /// The folder of the built programs: where this test's own program is.
    static let folder: String = {
        let own = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        return URL(filePath: own ?? ".").deletingLastPathComponent().path
    }()

    static let repository = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().deletingLastPathComponent().path

    let process = Process()
    private let output: URL
    private let errors: URL

    /// Starts the program; its output goes to files, so that nothing it prints can block it.
    init(
        _ arguments: [String], in folder: TemporaryFolder, environment: [String: String] = [:]
    ) throws {
        let name = UUID().uuidString
        output = URL(filePath: "\(folder.path)/\(name).out")
        errors = URL(filePath: "\(folder.path)/\(name).err")
        for file in [output, errors] {
            _ = FileManager.default.createFile(atPath: file.path, contents: nil)
        }
        process.executableURL = URL(filePath: Self.folder + "/synmesh")
        process.arguments = arguments
        process.currentDirectoryURL = URL(filePath: Self.repository)
        process.environment = ProcessInfo.processInfo.environment
            .merging(environment) { _, own in own }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
    }

    var text: String { (try? String(contentsOf: output, encoding: .utf8)) ?? "" }
    var errorText: String { (try? String(contentsOf: errors, encoding: .utf8)) ?? "" }

    /// Waits for the end; a program that does not end within the bound is killed and a failure.
    func wait(atMost bound: Duration = .seconds(240)) throws -> Ending {
        try poll(atMost: bound, "the end of synmesh") { !process.isRunning }
        process.waitUntilExit()
        return Ending(exitCode: process.terminationStatus, output: text, errors: errorText)
    }

    /// Runs the program to its end.
    static func run(
        _ arguments: String..., in folder: TemporaryFolder, environment: [String: String] = [:]
    ) throws -> Ending {
        try Program(arguments, in: folder, environment: environment).wait()
    }

    /// What a script prints, errors too.
    static func shell(_ script: String) throws -> String {
        let process = Process()
        process.executableURL = URL(filePath: "/bin/sh")
        process.arguments = ["-c", "timeout 120 sh '\(script)' 2>&1"]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardInput = FileHandle.nullDevice
        try process.run()
        let data = pipe.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        return String(decoding: data, as: UTF8.self)
    }

    /// Plays a scenario with its logs in the folder, and returns the verdict it printed.
    static func play(
        _ scenario: String, in folder: TemporaryFolder, _ arguments: String...
    ) throws -> (ending: Ending, verdict: Value) {
        let ending = try Program(
            ["run", scenario, "--json", "--logs", folder.path] + arguments, in: folder
        ).wait()
        let verdict = try #require(
            try? Value(parsing: ending.output), "no verdict; \(ending.errors)")
        return (ending, verdict)
    }

    /// Polls until the condition holds; a bound that passes is a failure.
    func poll(atMost bound: Duration, _ what: String, _ condition: () -> Bool) throws {
        let deadline = ContinuousClock.now + bound
        while !condition() {
            if ContinuousClock.now > deadline {
                Glibc.kill(process.processIdentifier, SIGKILL)
                throw Overdue(what: what, errors: errorText)
            }
            _ = Glibc.poll(nil, 0, 10)
        }
    }
}

struct Overdue: Error, CustomStringConvertible {
    let what: String
    let errors: String
    var description: String { "\(what) did not come in time\n\(errors)" }
}

/// A folder that is there as long as the value is.
final class TemporaryFolder {
    let path: String

    init() throws {
        path = FileManager.default.temporaryDirectory.path + "/synmesh-e2e-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    /// Writes a file and returns its path.
    func write(_ text: String, to name: String) throws -> String {
        try text.write(toFile: "\(path)/\(name)", atomically: true, encoding: .utf8)
        return "\(path)/\(name)"
    }

    /// A copy of a shipped scenario with some of its text replaced, playable from here.
    func scenario(
        _ name: String, replacing changes: [(String, String)],
        inTopology topologyChanges: [(String, String)] = []
    ) throws -> String {
        func changed(_ path: String, _ changes: [(String, String)]) throws -> String {
            var text = try String(contentsOfFile: path, encoding: .utf8)
            for (old, new) in changes {
                try #require(text.contains(old), "\(path) has no '\(old)'")
                text = text.replacing(old, with: new)
            }
            return text
        }
        let root = Program.repository
        let scenario = try changed("\(root)/scenarios/\(name).yaml", changes)
        let line = try #require(
            scenario.split(separator: "\n").first { $0.hasPrefix("topology: ") })
        let topology = String(line.dropFirst("topology: ../topologies/".count))
        for folder in ["topologies", "scenarios"] {
            try FileManager.default.createDirectory(
                atPath: "\(path)/\(folder)", withIntermediateDirectories: true)
        }
        _ = try write(
            try changed("\(root)/topologies/\(topology)", topologyChanges)
                .replacing("../scenarios/", with: "\(root)/scenarios/")
                .replacing("../agents/", with: "\(root)/agents/"),
            to: "topologies/\(topology)")
        return try write(scenario, to: "scenarios/\(name).yaml")
    }

    /// The newest run of a scenario.
    func latest(_ scenario: String) -> String { "\(path)/\(scenario)/latest" }
}

extension Value {
    /// A member of a member, and so on.
    func at(_ names: String...) -> Value? {
        names.reduce(Optional(self)) { $0?[$1] }
    }

    func count(_ names: String...) -> Int64? {
        names.reduce(Optional(self)) { $0?[$1] }?.integer
    }
}

/// Processes, zombies aside, that carry a run's token in their environment.
func survivors(of run: String) -> [String] {
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return entries.filter { entry in
        guard Int32(entry) != nil,
            let environment = FileManager.default.contents(atPath: "/proc/\(entry)/environ"),
            let status = try? String(contentsOfFile: "/proc/\(entry)/stat", encoding: .utf8)
        else { return false }
        let state = status[(status.lastIndex(of: ")") ?? status.startIndex)...].dropFirst(2).first
        return state != "Z"
            && String(decoding: environment, as: UTF8.self).contains("SYNMESH_RUN=\(run)\0")
    }
}
