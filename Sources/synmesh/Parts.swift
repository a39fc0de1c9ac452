import ArgumentParser
import JSON
import Operating
import Scenarios

/// The commands about single parts of a mesh that is up.
struct PartsArguments: ParsableArguments {
    @Argument(help: "Agents, processes, proxies or servers, by name; a group means all replicas.")
    var names: [String]

    @Option(help: "How many seconds they may take to end before they are killed.")
    var grace: Double?

    @OptionGroup var choice: MeshChoice

    func ask(_ name: String, done: String) throws {
        let record = try choice.record()
        var arguments: [String: Value] = ["names": .array(names.map(Value.string))]
        if let grace { arguments["grace_ms"] = .integer(Int64(min(max(grace, 0), 3_600) * 1_000)) }
        let answer = try choice.ask(
            Request(name, .object(arguments)), of: record, timeout: .seconds(180))
        if choice.json {
            print(answer.canonical)
        } else if let ends = answer["ends"]?.array {
            for end in ends { print(end.string ?? "") }
        } else {
            let parts = (answer["parts"]?.array ?? []).compactMap(\.string)
            print("\(done): \(parts.joined(separator: ", "))")
        }
    }
}

struct Restart: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "End parts of a mesh and start them again; return when they are ready.")

    @OptionGroup var parts: PartsArguments

    func run() throws { try parts.ask("restart", done: "restarted") }
}

struct Stop: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "End parts of a mesh, which then stay ended; the rest goes on.")

    @OptionGroup var parts: PartsArguments

    func run() throws { try parts.ask("stop", done: "stopped") }
}

struct Start: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Start parts of a mesh that have ended; return when they are ready.")

    @OptionGroup var parts: PartsArguments

    func run() throws { try parts.ask("start", done: "started") }
}

struct Scale: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Have more or fewer of the processes that are alike; return when they are ready.")

    @Argument(help: "NAME=COUNT, where the topology's process NAME has 'replicas'.")
    var target: String

    @OptionGroup var choice: MeshChoice

    func run() throws {
        let parts = target.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, let count = Int64(parts[1]), count >= 0 else {
            throw ValidationError("'\(target)' is not NAME=COUNT, such as worker=4.")
        }
        let record = try choice.record()
        let request = Request(
            "scale", ["name": .string(String(parts[0])), "count": .integer(count)])
        let answer = try choice.ask(request, of: record, timeout: .seconds(180))
        if choice.json { return print(answer.canonical) }
        let names = (answer["parts"]?.array ?? []).compactMap(\.string)
        print("there: \(names.isEmpty ? "none" : names.joined(separator: ", "))")
    }
}

struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Why a part is as it is: what it waits for, what its probes see, how it ended.")

    @Argument(help: "The part.")
    var name: String

    @OptionGroup var choice: MeshChoice

    func run() throws {
        let record = try choice.record()
        let answer = try choice.ask(Request("explain", ["name": .string(name)]), of: record)
        if choice.json { return print(answer.canonical) }
        for line in answer["lines"]?.array ?? [] { print(line.string ?? "") }
    }
}

struct Events: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "What happens to the processes of a mesh, as it happens, until it ends.",
        discussion: "With --json one object a line.")

    @OptionGroup var choice: MeshChoice

    func run() throws {
        let record = try choice.record()
        _ = try choice.ask(Request("events"), of: record, timeout: nil) { item in
            let line = choice.json ? item.canonical : item["description"]?.string ?? ""
            writeOutput(Array((line + "\n").utf8))
            return true
        }
    }
}
