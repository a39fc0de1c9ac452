import ArgumentParser
import JSON
import Scenarios
import Supervision

struct Clean: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "End what is left of meshes that were killed together with their guardian.",
        discussion: """
            Processes are found by what was noted down when they were started, number and time, and by \
            the token in their environment. Meshes that somebody looks after are left alone. Exit code \
            1 when anything is left all the same.
            """)

    @OptionGroup var choice: MeshChoice

    @Flag(help: "Only say what is left.")
    var dryRun = false

    func run() throws {
        var cleaned: [Value] = []
        var isComplete = true
        for record in try choice.records() where !record.isAlive {
            let remains = record.remains
            if !choice.json {
                print(
                    "\(record.name) (\(record.run)) was killed together with its guardian; left: "
                        + Self.words(remains.processes))
            }
            guard !dryRun else {
                cleaned.append(Self.json(record, Self.json(remains.processes), [:]))
                isComplete = false
                continue
            }
            let outcome = record.clean()
            isComplete = isComplete && outcome.remaining.isEmpty && outcome.failed.isEmpty
            cleaned.append(
                Self.json(
                    record, Self.json(outcome.killed),
                    [
                        "removed": .array(outcome.removed.map(Value.string)),
                        "remaining": Self.json(outcome.remaining),
                        "not_removed": .array(outcome.failed.map(Value.string)),
                    ]))
            guard !choice.json else { continue }
            for path in outcome.removed { print("  removed \(path)") }
            for path in outcome.failed { print("  could not remove \(path)") }
            if !outcome.remaining.isEmpty {
                print("  could not end \(Self.words(outcome.remaining))")
            }
        }
        if choice.json {
            print(Value.object(["meshes": .array(cleaned)]).canonical)
        } else if cleaned.isEmpty {
            print("nothing is left of any mesh")
        }
        if !isComplete { throw ExitStatus.notAsExpected.code }
    }

    private static func words(_ processes: [ProcessRecord]) -> String {
        guard !processes.isEmpty else { return "no process" }
        return processes.map { "\($0.name) (\($0.process))" }.joined(separator: ", ")
    }

    private static func json(_ processes: [ProcessRecord]) -> Value {
        .array(processes.map { ["pid": Value($0.process), "name": .string($0.name)] })
    }

    private static func json(
        _ record: MeshRecord, _ processes: Value, _ more: [String: Value]
    ) -> Value {
        let members: [String: Value] = [
            "name": .string(record.name), "run": .string(record.run), "processes": processes,
        ]
        return .object(members.merging(more) { $1 })
    }
}
