import ArgumentParser
import JSON
import Operating
import Scenarios

/// Which of the meshes that are up a command is about.
struct MeshChoice: ParsableArguments {
    @Option(help: "The mesh, by its name or its run; needed where several are up.")
    var mesh: String?

    @Flag(help: "Print one JSON object to standard output.")
    var json = false

    /// Those that are meant, whether somebody looks after them or not.
    func records() throws -> [MeshRecord] {
        let all = MeshRecord.all()
        guard let mesh else { return all }
        let meant = all.filter { $0.name == mesh || $0.run == mesh }
        guard !meant.isEmpty else { throw none(all) }
        return meant
    }

    /// The only one that is meant and up.
    func record() throws -> MeshRecord {
        let records = try records()
        let up = records.filter { $0.isAlive && $0.canBeAsked }
        if up.count == 1 { return up[0] }
        guard up.isEmpty else {
            printError(
                "synmesh: several meshes are up; name one with --mesh: "
                    + up.map { "\($0.name) (\($0.run))" }.joined(separator: ", "))
            throw ExitStatus.badInput.code
        }
        if let dead = records.first(where: { !$0.isAlive }) {
            printError(
                "synmesh: '\(dead.name)' was killed together with its guardian. 'synmesh clean' ends "
                    + "what is left of it")
            throw ExitStatus.badInput.code
        }
        throw none(records)
    }

    /// All that are meant and up.
    func recordsUp() throws -> [MeshRecord] {
        try records().filter { $0.isAlive && $0.canBeAsked }
    }

    private func none(_ all: [MeshRecord]) -> ExitCode {
        let names = all.filter { $0.isAlive && $0.canBeAsked }.map { "'\($0.name)'" }
        printError(
            "synmesh: there is no mesh \(mesh.map { "'\($0)'" } ?? "that is up"). "
                + (names.isEmpty
                    ? "Start one with 'synmesh up -d TOPOLOGY'"
                    : "Up: \(names.joined(separator: ", "))"))
        return ExitStatus.badInput.code
    }

    /// Asks the mesh, and ends with what is wrong where it does not answer.
    func ask(
        _ request: Request, of record: MeshRecord, timeout: Duration? = .seconds(30),
        item: (Value) -> Bool = { _ in true }
    ) throws -> Value {
        do throws(OperatingError) {
            let client = try OperatorClient(path: record.socket)
            return try client.ask(request, timeout: timeout, item: item)
        } catch {
            printError("synmesh: \(error)")
            switch error.code {
            case .badArguments, .unknownRequest, .malformed: throw ExitStatus.badInput.code
            case .unreachable: throw ExitStatus.environment.code
            case .failed, .late: throw ExitStatus.notAsExpected.code
            }
        }
    }
}

/// A table for people: columns as wide as what is in them.
func table(_ rows: [[String]]) -> String {
    let count = rows.map(\.count).max() ?? 0
    let widths = (0..<count).map { column in
        rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0
    }
    return rows.map { row in
        var line = ""
        for (column, text) in row.enumerated() {
            let isLast = column == row.count - 1
            line +=
                text
                + (isLast ? "" : String(repeating: " ", count: widths[column] - text.count + 2))
        }
        return line + "\n"
    }.joined()
}

/// A time as people say it, such as "3 m 20 s".
func words(milliseconds: Int64) -> String {
    let seconds = milliseconds / 1_000
    switch seconds {
    case ..<1: return "\(milliseconds) ms"
    case ..<60: return "\(seconds) s"
    case ..<3_600: return "\(seconds / 60) m \(seconds % 60) s"
    default: return "\(seconds / 3_600) h \(seconds / 60 % 60) m"
    }
}
