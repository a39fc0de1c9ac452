import Analysis
import ArgumentParser
import Histories
import JSON
import Quantities
import Recording
import Reporting
import Wire

struct HistoryCat: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "cat",
        abstract: "Print records in the order in which they were recorded.",
        discussion: """
            With --json each line is one record with its whole content. Without, contents are cut to \
            the line.
            """)

    @Argument(help: "A run's directory, a directory of histories, or one.", completion: .file())
    var place: String

    @OptionGroup var selection: SelectionArguments

    @Option(help: ArgumentHelp("Stop after so many.", valueName: "count"))
    var limit: Int?

    @Flag(help: "Print what was noted beside the records, too.")
    var annotations = false

    @Flag(help: "Print JSON, a line for each record.")
    var json = false

    func validate() throws {
        _ = try selection.selection
        if let limit, limit < 0 { throw ValidationError("--limit is at least 0.") }
    }

    func run() throws {
        let files = try historyFiles(place)
        let chosen = try selection.selection
        let records = try orBadInput { () throws(HistoryError) in
            try SelectedRecords(paths: files.paths, selection: chosen)
        }
        var output = BufferedOutput()
        var count = 0
        while count < limit ?? .max,
            let item = try orBadInput({ () throws(HistoryError) in try records.next() })
        {
            switch item {
            case .record(let record, let kind):
                count += 1
                output.write(
                    json
                        ? RecordDocument.value(record.view, kind).canonical
                        : line(record.view, kind, start: records.start ?? 0))
            case .annotation(let annotation):
                guard annotations else { continue }
                output.write(String(decoding: annotation.data, as: UTF8.self))
            }
        }
        output.flush()
        for note in records.notes { printError(note) }
        if !records.notes.isEmpty { throw ExitStatus.notAsExpected.code }
    }

    private func line(_ record: RecordView, _ kind: RecordKind, start: UInt64) -> String {
        let text = RecordDocument.excerpt(record, kind)
        let content = text.count > 100 ? text.prefix(99) + "…" : text[...]
        let microseconds = (record.observed - min(start, record.observed)) / 1_000
        let fraction = String(microseconds % 1_000_000)
        let time =
            "\(microseconds / 1_000_000)."
            + String(repeating: "0", count: 6 - fraction.count) + fraction
        let arrow = kind.direction == .sent ? ">" : "<"
        let identity = "\(kind.flow) #\(kind.incarnation).\(record.sequence)"
        let shadow = kind.lane == .shadow ? " (shadow)" : ""
        return "\(time) \(kind.agent) \(arrow) \(identity) \(kind.type)\(shadow)  \(content)"
    }
}

/// Which records are asked for.
struct SelectionArguments: ParsableArguments {
    @Option(help: ArgumentHelp("From this sender; '*' stands for anything.", valueName: "agent"))
    var source: [String] = []

    @Option(help: ArgumentHelp("To this agent, or to 'topic:NAME'.", valueName: "destination"))
    var destination: [String] = []

    @Option(help: ArgumentHelp("Recorded by this process.", valueName: "process"))
    var agent: [String] = []

    @Option(help: ArgumentHelp("Of this message type.", valueName: "type"))
    var type: [String] = []

    @Option(help: ArgumentHelp("Over this transport: zmq or nats.", valueName: "transport"))
    var transport: [String] = []

    @Option(
        help: ArgumentHelp("sent or delivered.", valueName: "direction"), transform: named)
    var direction: Direction?

    @Option(help: ArgumentHelp("primary or shadow.", valueName: "lane"), transform: named)
    var lane: Lane?

    @Option(help: ArgumentHelp("Position in the flow: 12, or 12-40.", valueName: "range"))
    var sequence: String?

    @Option(
        help: ArgumentHelp(
            "Recorded then or later: 2.5s or 300ms after the first record, or a time in UTC.",
            valueName: "moment"))
    var from: String?

    @Option(help: ArgumentHelp("Recorded before then.", valueName: "moment"))
    var until: String?

    @Option(
        help: ArgumentHelp(
            "JSON content says this: '$.status=done', or '$.error' for anything.",
            valueName: "path[=value]"))
    var `where`: [String] = []

    var selection: RecordSelection {
        get throws {
            var selection = RecordSelection()
            selection.sources = source
            selection.destinations = destination
            selection.agents = agent
            selection.types = type
            selection.transports = transport
            selection.direction = direction
            selection.lane = lane
            selection.sequences = try sequence.map(Self.range)
            selection.from = try from.map(Self.moment)
            selection.until = try until.map(Self.moment)
            selection.conditions = try `where`.map(Self.condition)
            return selection
        }
    }

    private static func range(_ text: String) throws -> ClosedRange<UInt64> {
        let ends = text.split(separator: "-", omittingEmptySubsequences: false)
        guard (1...2).contains(ends.count), let low = UInt64(ends[0]),
            let high = UInt64(ends[ends.count - 1]), low <= high
        else { throw ValidationError("'\(text)' is no range of sequences, as 12 or 12-40.") }
        return low...high
    }

    static func moment(_ text: String) throws -> RecordSelection.Moment {
        if let time = Timestamp.nanoseconds(of: text) { return .at(time) }
        if let time = Quantity.duration(text) { return .afterStart(UInt64(time / .nanoseconds(1))) }
        throw ValidationError(
            "'\(text)' is no moment: write 2.5s, 300ms, or 2026-01-31T12:00:00.000Z.")
    }

    private static func condition(_ text: String) throws -> RecordSelection.Condition {
        let sign = text.firstIndex(of: "=")
        do throws(PathPatternError) {
            return .init(
                try PathPattern(String(sign.map { text[..<$0] } ?? text[...])),
                value: sign.map { String(text[text.index(after: $0)...]) })
        } catch {
            throw ValidationError("\(error)")
        }
    }
}

/// One of the cases that have a name.
func named<Case: RawRepresentable & CaseIterable>(
    _ text: String
) throws -> Case where Case.RawValue == String {
    if let found = Case(rawValue: text) { return found }
    let names = Case.allCases.map { "'\($0.rawValue)'" }.joined(separator: ", ")
    throw ValidationError("'\(text)' is none of \(names).")
}

/// Lines for standard output, many at once.
struct BufferedOutput {
    private var bytes: [UInt8] = []

    mutating func write(_ line: String) {
        bytes.append(contentsOf: line.utf8)
        bytes.append(UInt8(ascii: "\n"))
        if bytes.count >= 65_536 { flush() }
    }

    mutating func flush() {
        writeOutput(bytes)
        bytes.removeAll(keepingCapacity: true)
    }
}
