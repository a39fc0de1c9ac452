internal import Analysis
internal import Foundation
internal import JSON
internal import Moves
public import Recording
internal import Routing
public import Topologies
public import Wire

/// A run that was ended in the middle, by a person or by whatever ended its orchestrator: what was where.
///
/// Each home proxy keeps in a file where its agents live, and writes it before anybody acts on it; so that is
/// known after any end.
public struct InterruptedRun: Sendable {
    /// The run's directory.
    public let directory: RunDirectory
    /// Where each agent lived that was ever moved.
    public let sides: [String: Transport]

    /// Reads what a run left.
    ///
    /// - Parameters:
    ///   - directory: The run's directory.
    ///   - topology: Whose agents they are.
    /// - Throws: `EnvironmentError` where it is no run, came to its end, or cannot be read.
    public init(_ directory: RunDirectory, of topology: Topology) throws {
        let attempt = "could not take back the run in '\(directory.path)'"
        let files = FileManager.default
        guard files.fileExists(atPath: directory.processesPath) else {
            throw EnvironmentError(attempt, reason: "there is none")
        }
        if let outcome = Self.outcome(directory), outcome != .aborted, outcome != .held {
            throw EnvironmentError(
                attempt, reason: "it came to its end: \(outcome.rawValue)",
                remedy: "Play the scenario again.")
        }
        var sides: [String: Transport] = [:]
        for branch in topology.branches {
            let registry = RouteRegistry(
                path: "\(directory.processesPath)/\(branch.name).routes.json")
            do throws(RoutingError) {
                for (agent, route) in try registry.read() { sides[agent] = route.transport }
            } catch {
                throw EnvironmentError(attempt, reason: error.description)
            }
        }
        self.directory = directory
        self.sides = sides
    }

    /// How the run ended; nil where nobody was there to say so.
    private static func outcome(_ directory: RunDirectory) -> Outcome? {
        guard let data = FileManager.default.contents(atPath: directory.path + "/verdict.json"),
            let verdict = try? Value(parsing: [UInt8](data))
        else { return nil }
        return verdict["outcome"]?.string.flatMap(Outcome.init(rawValue:))
    }

    /// A line for each agent that was moved.
    public var lines: [String] {
        sides.sorted { $0.key < $1.key }.map { "\($0.key) was on \($0.value.rawValue)" }
    }
}

extension Scenario {
    /// What is played to take an interrupted run back: nothing but the way back.
    func rollback(of interrupted: InterruptedRun) -> Scenario {
        var scenario = self
        scenario.steps = [
            Step(
                action: .rollback, load: [], faults: [], limits: nil, minimumSamples: 1, line: 1)
        ]
        scenario.expectation = .outcome(.rolledBack)
        return scenario
    }
}
