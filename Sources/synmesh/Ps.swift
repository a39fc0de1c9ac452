import ArgumentParser
import JSON
import Operating
import Scenarios

struct Ps: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "ps", abstract: "What the processes of the meshes that are up are doing.",
        discussion: "Exit code 0, also where none is up.")

    @OptionGroup var choice: MeshChoice

    func run() throws {
        var meshes: [Value] = []
        let records = try choice.records()
        for record in records {
            guard record.isAlive else {
                printError(
                    "synmesh: '\(record.name)' (\(record.run)) was killed together with its "
                        + "guardian. 'synmesh clean' ends what is left of it")
                continue
            }
            guard record.canBeAsked else {
                meshes.append([
                    "name": .string(record.name), "run": .string(record.run),
                    "directory": .string(record.directory), "phase": "rehearsing",
                    "reason": .null, "processes": [],
                ])
                continue
            }
            var mesh = try choice.ask(Request("status"), of: record).object ?? [:]
            let answer = try choice.ask(Request("ps"), of: record)
            mesh["processes"] = answer["processes"]
            meshes.append(.object(mesh))
        }
        if choice.json {
            print(Value.object(["meshes": .array(meshes)]).canonical)
            return
        }
        if meshes.isEmpty { print("no mesh is up") }
        for mesh in meshes { show(mesh) }
    }

    private func show(_ mesh: Value) {
        let reason = mesh["reason"]?.string.map { ": \($0)" } ?? ""
        print(
            "\(mesh["name"]?.string ?? "") is \(mesh["phase"]?.string ?? "")\(reason) "
                + "(\(mesh["directory"]?.string ?? ""))")
        guard mesh["processes"]?.array?.isEmpty == false else { return }
        var rows = [["NAME", "KIND", "STATE", "PID", "UP", "STARTS", "LATEST END"]]
        for process in mesh["processes"]?.array ?? [] {
            rows.append([
                process["name"]?.string ?? "", process["kind"]?.string ?? "",
                Self.state(process), process["pid"]?.integer.map { "\($0)" } ?? "-",
                process["up_ms"]?.integer.map(words(milliseconds:)) ?? "-",
                process["incarnation"]?.integer.map { "\($0)" } ?? "",
                Self.end(process["last_exit"]),
            ])
        }
        print(table(rows), terminator: "")
    }

    private static func state(_ process: Value) -> String {
        let phase = process["phase"]?.string ?? ""
        if process["paused"]?.bool == true { return "paused" }
        if phase == "running" { return process["ready"]?.bool == true ? "ready" : "not ready" }
        if phase == "restarting", let wait = process["restarts_in_ms"]?.integer {
            return "restarts in \(words(milliseconds: wait))"
        }
        return phase
    }

    private static func end(_ exit: Value?) -> String {
        guard let cause = exit?["cause"]?.string, let by = exit?["attribution"]?.string else {
            return "-"
        }
        return "\(cause), \(by)"
    }
}
