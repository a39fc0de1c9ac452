import ArgumentParser
import JSON
import Operating
import Scenarios
import Supervision

struct Down: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "End a mesh that is up, and say what is left of it: nothing.",
        discussion: "Exit code 1 when anything was left behind.")

    @OptionGroup var choice: MeshChoice

    @Flag(help: "End all meshes of this user.")
    var all = false

    @Option(help: "How many seconds to wait for the end at most.")
    var timeout = 60.0

    func run() throws {
        let records = all ? try choice.recordsUp() : [try choice.record()]
        var isClean = true
        var ended: [Value] = []
        for record in records {
            let (clean, value) = try end(record)
            isClean = isClean && clean
            ended.append(value)
        }
        if choice.json { print(Value.object(["meshes": .array(ended)]).canonical) }
        if !isClean { throw ExitStatus.notAsExpected.code }
    }

    private func end(_ record: MeshRecord) throws -> (isClean: Bool, Value) {
        let answer = try choice.ask(Request("down"), of: record, timeout: .seconds(timeout))
        // What it says of itself is one thing; that both are gone, another.
        let deadline = ContinuousClock.now + .seconds(20)
        while record.isAlive, ContinuousClock.now < deadline { pause(milliseconds: 5) }
        let isGone = !record.isAlive
        let isClean = answer["clean"]?.bool == true && isGone
        var left = answer["left"]?.string ?? "nobody knows what is left"
        if !isGone { left = "left behind: the orchestrator (\(record.orchestrator.process))" }
        if !choice.json { print("down: \(record.name): \(left)") }
        return (
            isClean,
            [
                "name": .string(record.name), "run": .string(record.run),
                "clean": .bool(isClean), "left": .string(left),
            ]
        )
    }
}
