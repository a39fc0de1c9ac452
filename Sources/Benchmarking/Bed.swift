internal import Foundation
internal import Glibc
internal import JSON
internal import Scenarios
internal import Supervision
internal import Threads
internal import Topologies

/// What suites run on: meshes of ours, and reference programs.
struct Bed: Sendable {
    let options: Bench.Options
    let guardian: Guardian

    /// A mesh of a branch for one sender, `s0`, and one receiver, `r0`.
    static let onePair = pair(core: "{}")
    /// The same, where a sender waits for a receiver that is slower, so that nothing need be lost.
    static let waitingPair = pair(core: "{ queue: { overflow: pause } }")
    /// Whether the suite itself was asked for, and so all of its metrics.
    var wantsAll = true
    /// Metrics that rows of another suite are made from.
    var sources: Set<String> = []
    /// When a suite that is to be quick makes no further rounds.
    var deadline: ContinuousClock.Instant?

    private static func pair(core: String) -> String {
        """
        synmesh: 1
        name: bench
        branches:
          core: \(core)
        agents:
          s0: { kind: probe }
          r0: { kind: probe }
        """
    }

    /// How often each measurement is made, at most.
    var rounds: Int { options.runs ?? (options.isQuick ? 3 : 7) }

    /// Whether a metric was asked for: what nobody wants need not be measured.
    func wants(_ metric: String) -> Bool {
        wantsAll || options.wants(metric) || sources.contains(metric)
    }

    /// Whether the time of a suite that is to be quick is used up.
    var isLate: Bool { deadline.map { $0 < .now } ?? false }

    /// A size, smaller where it is to be quick.
    func scaled(_ count: Int) -> Int { options.isQuick ? max(1, count / 5) : count }

    /// Runs a mesh; what its agents recorded is not kept.
    ///
    /// - Parameters:
    ///   - topology: The topology's text.
    ///   - withAgents: Without, only proxies and servers run: others play the agents.
    ///   - body: Gets the session.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws, `Bench.Failure` where the topology is wrong or something was
    ///   left behind.
    func withMesh<Result: Sendable>(
        _ topology: String, withAgents: Bool = false, _ body: (MeshSession) async throws -> Result
    ) async throws -> Result {
        let outcome = Topology.load(text: topology, file: "bench.yaml", directory: ".")
        guard let loaded = outcome.topology else { throw Bench.Failure(outcome.rendered) }
        let session = try MeshSession(
            loaded, guardian: guardian, options: RunOptions(logs: options.logs))
        try await session.start(withAgents: withAgents)
        let result: Result
        do {
            result = try await body(session)
        } catch {
            _ = await session.stop()
            throw error
        }
        let certificate = await session.stop()
        try? FileManager.default.removeItem(atPath: session.directory + "/histories")
        guard certificate.isClean else { throw Bench.Failure("left behind: \(certificate)") }
        return result
    }

    /// Runs a reference program to its end.
    ///
    /// - Returns: What it printed: one line of JSON.
    func reference(_ role: String, _ words: [String: String]) async throws -> Value {
        let program = try Self.program("synmesh-reference")
        let arguments = [role] + words.sorted { $0.key < $1.key }.flatMap { ["--\($0)", $1] }
        return try await run(program, arguments)
    }

    /// Runs two clients of the SDK, one of which sends what the other receives.
    ///
    /// - Parameters:
    ///   - role: `throughput` or `latency`.
    ///   - words: The options of `synmesh-probe`.
    /// - Returns: What it printed, with the names that the reference prints.
    /// - Throws: `Bench.Failure` where it failed.
    func probe(_ role: String, _ words: [String: String]) async throws -> Value {
        let program = try Self.program("synmesh-probe")
        let arguments = [role] + words.sorted { $0.key < $1.key }.flatMap { ["--\($0)", $1] }
        return try await run(program, arguments)
    }

    /// Runs a program that prints one line of JSON; one that is not wanted any more is ended.
    func run(_ program: String, _ arguments: [String]) async throws -> Value {
        let process = Foundation.Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        process.standardInput = FileHandle.nullDevice
        let (output, errors) = (Pipe(), Pipe())
        process.standardOutput = output
        process.standardError = errors
        try process.run()
        let running = process.processIdentifier
        let name = arguments.first ?? program
        return try await withTaskCancellationHandler {
            try await onDedicatedThread(named: String(name.prefix(15))) {
                let text = output.fileHandleForReading.readDataToEndOfFile()
                process.waitUntilExit()
                guard process.terminationStatus == 0, let value = try? Value(parsing: Array(text))
                else {
                    let said = errors.fileHandleForReading.readDataToEndOfFile() + text
                    throw Bench.Failure(
                        "'\(name)' of \(URL(filePath: program).lastPathComponent) failed: "
                            + String(decoding: said, as: UTF8.self))
                }
                return value
            }
        } onCancel: {
            // It has not been waited for, or is gone already; its number is not given anew so soon.
            kill(running, SIGTERM)
        }
    }

    /// Runs a reference program that serves until its input ends.
    ///
    /// - Parameters:
    ///   - role: Which.
    ///   - body: Gets what it said first, one line of JSON, and its process number.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws, `Bench.Failure` where the program does not start.
    func withReferenceServer<Result: Sendable>(
        _ role: String, _ body: (Value, Int32) async throws -> Result
    ) async throws -> Result {
        try await withServer(try Self.program("synmesh-reference"), [role], body)
    }

    /// Runs a program that says one line of JSON and serves until its input ends.
    func withServer<Result: Sendable>(
        _ program: String, _ arguments: [String], _ body: (Value, Int32) async throws -> Result
    ) async throws -> Result {
        let role = arguments.last ?? program
        let process = Foundation.Process()
        process.executableURL = URL(filePath: program)
        process.arguments = arguments
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let reading = output.fileHandleForReading
        let first = try await onDedicatedThread(named: role) { () -> Value? in
            var line: [UInt8] = []
            while let byte = try reading.read(upToCount: 1)?.first, byte != 0x0A {
                line.append(byte)
            }
            return try? Value(parsing: line)
        }
        let result: Swift.Result<Result, any Error>
        if let first {
            do {
                result = .success(try await body(first, process.processIdentifier))
            } catch {
                result = .failure(error)
            }
        } else {
            result = .failure(Bench.Failure("the reference program \(role) did not start"))
        }
        try? input.fileHandleForWriting.close()
        try await onDedicatedThread(named: role) { process.waitUntilExit() }
        return try result.get()
    }

    /// Measures ours and the reference in alternating order, so that neither has the better minutes.
    ///
    /// - Parameters:
    ///   - sides: What is measured; ours is the first.
    ///   - limit: How often at most where it is to be quick.
    ///   - measure: Measures one of them once.
    /// - Returns: For each side what was measured, in the order of the rounds.
    /// - Throws: What `measure` throws, `CancellationError`.
    func alternate<Side: Sendable, Sample: Sendable>(
        _ sides: [Side], quickly limit: Int = .max, _ measure: (Side) async throws -> Sample
    ) async throws -> [[Sample]] {
        var samples: [[Sample]] = sides.map { _ in [] }
        let rounds = options.isQuick && options.runs == nil ? min(rounds, limit) : rounds
        for round in 0..<rounds where round == 0 || !isLate {
            let order = round.isMultiple(of: 2) ? Array(sides.indices) : sides.indices.reversed()
            for side in order {
                try Task.checkCancellation()
                samples[side].append(try await measure(sides[side]))
            }
        }
        return samples
    }

    /// Greatest resident size of a process so far, in megabytes.
    static func residentPeak(of process: Int32) -> Double { megabytes("VmHWM:", of: process) }

    /// Resident size of a process, in megabytes.
    static func resident(of process: Int32) -> Double { megabytes("VmRSS:", of: process) }

    /// Seconds of processor time that the threads of a process have used, to the nanosecond.
    static func processorTime(of process: Int32) -> Double {
        let tasks = "/proc/\(process)/task"
        let threads = (try? FileManager.default.contentsOfDirectory(atPath: tasks)) ?? []
        return threads.reduce(0) { sum, thread in
            let text = try? String(contentsOfFile: "\(tasks)/\(thread)/schedstat", encoding: .utf8)
            return sum + (text?.split(separator: " ").first.flatMap { Double($0) } ?? 0) / 1e9
        }
    }

    private static func megabytes(_ name: String, of process: Int32) -> Double {
        let status = (try? String(contentsOfFile: "/proc/\(process)/status", encoding: .utf8)) ?? ""
        let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
        let kilobytes = line?.split(separator: " ").dropFirst().first.flatMap { Double($0) }
        return (kilobytes ?? .nan) / 1_024
    }

    static func program(_ name: String) throws -> String {
        let path = Machine.programsFolder + "/" + name
        guard FileManager.default.isExecutableFile(atPath: path) else {
            throw Bench.Failure(
                "\(path) is missing: build it with 'make build' (swift build -c release)")
        }
        return path
    }
}

extension Value {
    /// The number of a member.
    func figure(_ name: String) throws -> Double {
        guard let number = self[name]?.double else {
            throw Bench.Failure("a reference program did not say its '\(name)'")
        }
        return number
    }
}
