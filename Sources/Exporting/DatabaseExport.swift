internal import GRDB
internal import Glibc
internal import Wire

/// An SQLite database with a table of turns.
final class DatabaseExport: ExportWriter {
    static let name = "turns.sqlite"
    private static let batchSize = 10_000

    private let path: String
    private let queue: DatabaseQueue
    private var pending: [[String?]] = []
    private var records = 0

    init(directory: String) throws(ExportError) {
        path = "\(directory)/\(Self.name)"
        do {
            queue = try DatabaseQueue(path: path)
            try queue.write { database in
                try database.create(table: "turns") { table in
                    for column in TurnText.columns {
                        table.column(column, Self.types[column] ?? .text)
                    }
                    table.column("part", .text).notNull()
                }
            }
        } catch {
            throw ExportError(path, "\(error)")
        }
    }

    private static let types: [String: Database.ColumnType] = [
        "depth": .integer, "incarnation": .integer, "sequence": .integer, "sent_ns": .integer,
        "recorded_ns": .integer, "length": .integer,
    ]

    func write(_ turn: Turn) throws(ExportError) {
        pending.append(TurnText.fields(turn) + [turn.isValidation ? "validation" : "train"])
        records += 1
        if pending.count >= Self.batchSize { try flush() }
    }

    func finish() throws(ExportError) -> [ExportedFile] {
        try flush()
        do {
            try queue.write { database in
                try database.create(
                    index: "turns_by_conversation", on: "turns",
                    columns: ["conversation", "sent_ns"])
                try database.create(
                    index: "turns_by_flow", on: "turns", columns: ["source", "destination"])
            }
            try queue.close()
        } catch {
            throw ExportError(path, "\(error)")
        }
        return [try ExportedFile(reading: path, name: Self.name, records: records)]
    }

    private func flush() throws(ExportError) {
        let (rows, marks) = (pending, TurnText.columns.map { _ in "?" }.joined(separator: ","))
        pending.removeAll(keepingCapacity: true)
        do {
            try queue.write { database in
                let statement = try database.makeStatement(
                    sql: "INSERT INTO turns VALUES (\(marks),?)")
                // Texts become numbers by the columns' affinity.
                for row in rows { try statement.execute(arguments: StatementArguments(row)) }
            }
        } catch {
            throw ExportError(path, "\(error)")
        }
    }
}
