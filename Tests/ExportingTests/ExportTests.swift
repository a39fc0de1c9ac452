import Analysis
import Exporting
import Histories
import JSON
import Recording
import TestSupport
import Testing
import Wire

/// Questions and answers of two agents, and a broadcast of bytes.
private struct Talk {
    let directory: TemporaryDirectory
    let files: HistoryFiles
    static let count = 40

    init() throws {
        directory = try TemporaryDirectory()
        let clock = RunClock.starting()
        let histories = directory.file("histories")
        try RunDirectory(directory.path).create()
        let asker = try HistoryWriter(
            path: "\(histories)/asker.1.mcap", process: "asker", clock: clock)
        let solver = try HistoryWriter(
            path: "\(histories)/solver.1.mcap", process: "solver", clock: clock, contentLimit: 1_000
        )
        for number in 1...UInt64(Self.count) {
            let question = Envelope(
                identity: Self.question(number), type: "question", sent: clock.now,
                contentEncoding: .json,
                content: Array(
                    #"{"text":"so, \"what\" is \#(number)?\n","user":{"name":"ada","mail":"a@b.c"}}"#
                        .utf8))
            try asker.record(question, .sent, transport: "zmq")
            try solver.record(question, .delivered, transport: "zmq")
            let answer = Envelope(
                identity: Self.answer(number), type: "answer", sent: clock.now,
                cause: question.identity, contentEncoding: .json,
                content: Array(#"{"value":\#(number)}"#.utf8))
            try solver.record(answer, .sent, transport: "zmq")
            try asker.record(answer, .delivered, transport: "zmq")
            let cloud = Envelope(
                identity: Self.cloud(number), type: "cloud", sent: clock.now,
                cause: answer.identity, contentEncoding: .binary,
                content: [UInt8](repeating: UInt8(number), count: number == 7 ? 5_000 : 9))
            try solver.record(cloud, .sent, transport: "nats")
        }
        try asker.seal()
        try solver.seal()
        files = try HistoryFiles(directory.path)
    }

    static func question(_ number: UInt64) -> Identity {
        Identity(
            flow: Flow(source: "asker", destination: .agent("solver")), incarnation: 1,
            sequence: number)
    }
    static func answer(_ number: UInt64) -> Identity {
        Identity(
            flow: Flow(source: "solver", destination: .agent("asker")), incarnation: 1,
            sequence: number)
    }
    static func cloud(_ number: UInt64) -> Identity {
        Identity(
            flow: Flow(source: "solver", destination: .topic("clouds")), incarnation: 1,
            sequence: number)
    }

    func export(
        _ format: HistoryExport.Format, _ options: ExportOptions = ExportOptions()
    ) throws -> (folder: String, outcome: HistoryExport.Outcome) {
        let folder = directory.file("export-\(format.rawValue)-\(UInt32.random(in: 0...(.max)))")
        let outcome = try HistoryExport.export(files, as: format, into: folder, options: options)
        #expect(outcome.notes == [])
        return (folder, outcome)
    }
}

/// The lines that a command prints, each as JSON.
private func lines(of words: [String]) throws -> [Value] {
    try output(of: words).split(separator: UInt8(ascii: "\n")).map { try Value(parsing: Array($0)) }
}

private func read(_ format: String, _ path: String) throws -> [Value] {
    let script = #filePath.split(separator: "/").dropLast().joined(separator: "/")
    return try lines(of: ["python3", "/\(script)/read_export.py", format, path])
}

@Suite struct ExportTests {
    private let talk: Talk

    init() throws { talk = try Talk() }

    @Test("A line for each envelope, in order, with what it answers and what began it")
    func jsonLines() throws {
        let (folder, outcome) = try talk.export(.jsonl)
        let turns = try lines(of: ["cat", "\(folder)/turns.jsonl"])
        #expect(turns.count == 3 * Talk.count)
        #expect(outcome.files.map(\.records) == [3 * Talk.count])
        let identities = turns.compactMap { $0["id"]?.string }
        #expect(
            identities
                == (1...UInt64(Talk.count)).flatMap {
                    [Talk.question($0), Talk.answer($0), Talk.cloud($0)].map(\.causationID)
                })
        for (number, turn) in turns.enumerated() {
            let round = UInt64(number / 3 + 1)
            #expect(turn["conversation"]?.string == Talk.question(round).causationID)
            #expect(turn["depth"]?.integer == Int64(number % 3))
            let cause = [nil, Talk.question(round), Talk.answer(round)][number % 3]
            #expect(turn["cause"]?.string == cause?.causationID)
        }
        #expect(turns[1]["content"] == ["value": 1])
        #expect(turns[20]["digest"] != nil && turns[20]["length"] == 5_000)
    }

    @Test("The manifest's counts and digests are those of the files")
    func manifest() throws {
        let (folder, outcome) = try talk.export(.csv)
        let manifest = try Value(parsing: try output(of: ["cat", "\(folder)/manifest.json"]))
        let file = try #require(manifest["files"]?.array?.first)
        let path = "\(folder)/\(outcome.files[0].name)"
        let said = try lines(of: [
            "python3", "-c",
            "import xxhash,json,sys; b=open(sys.argv[1],\"rb\").read(); "
                + "print(json.dumps([len(b), \"xxh3:\" + xxhash.xxh3_64_hexdigest(b)]))", path,
        ])[0]
        #expect([file["bytes"], file["digest"]] == (said.array ?? []).map(Optional.some))
        #expect(file["records"]?.integer == Int64(3 * Talk.count))
    }

    @Test("CSV and SQLite say the same, to Python's own readers")
    func tables() throws {
        let csv = try read("csv", try talk.export(.csv).folder + "/turns.csv")
        let rows = try read("sqlite", try talk.export(.sqlite).folder + "/turns.sqlite")
        #expect(csv.count == 3 * Talk.count)
        #expect(rows.count == csv.count)
        for (line, row) in zip(csv, rows) {
            for (name, value) in line.object ?? [:] {
                let text = row[name].flatMap { $0.string ?? $0.integer.map { String($0) } }
                #expect(value.string == text, "\(name)")
            }
        }
        #expect(rows[0]["sequence"]?.integer == 1)
        let content = rows[0]["content"]?.string ?? ""
        #expect(try Value(parsing: content)["text"]?.string == "so, \"what\" is 1?\n")
    }

    @Test("CloudEvents are that, to their own library")
    func cloudEvents() throws {
        let folder = try talk.export(.cloudevents).folder
        let events = try read("cloudevents", "\(folder)/turns.cloudevents.jsonl")
        #expect(events.count == 3 * Talk.count)
        let answer = events[1]
        #expect(answer["attributes"]?["source"]?.string == "solver")
        #expect(answer["attributes"]?["id"]?.string == "1/asker/1")
        #expect(answer["attributes"]?["type"]?.string == "answer")
        #expect(answer["attributes"]?["sequence"]?.string == "00000000000000000001")
        #expect(answer["attributes"]?["causationid"]?.string == Talk.question(1).causationID)
        #expect(answer["data"] == ["value": 1])
        #expect(events[2]["data"]?["base64"]?.string == "AQEBAQEBAQEB")
        let names = Set(
            events.map {
                "\($0["attributes"]?["source"]?.string ?? "") \($0["attributes"]?["id"]?.string ?? "")"
            })
        #expect(names.count == events.count)
    }

    @Test("What is private is taken out, and the same stays the same")
    func redaction() throws {
        var options = ExportOptions()
        options.redactions = [
            (try PathPattern("$.user.mail"), .remove), (try PathPattern("$.user.name"), .pseudonym),
            (try PathPattern("$.text"), .replace),
        ]
        let (folder, _) = try talk.export(.jsonl, options)
        let text = String(
            decoding: try output(of: ["cat", "\(folder)/turns.jsonl"]), as: UTF8.self)
        #expect(!text.contains("ada"))
        #expect(!text.contains("a@b.c"))
        #expect(!text.contains("what"))
        let questions = try lines(of: ["cat", "\(folder)/turns.jsonl"]).filter {
            $0["type"] == "question"
        }
        #expect(Set(questions.compactMap { $0["content"]?["user"]?["name"]?.string }).count == 1)
        #expect(questions[0]["content"]?["text"] == "[redacted]")
        #expect(questions[0]["content"]?["user"]?["mail"] == nil)
    }

    @Test("A conversation is in one part whole, and a seed always makes the same parts")
    func parts() throws {
        var options = ExportOptions()
        options.validationShare = 0.3
        options.seed = 4
        let folders = [
            try talk.export(.jsonl, options).folder, try talk.export(.jsonl, options).folder,
        ]
        let parts = try ["train", "validation"].map { part in
            let files = try folders.map { try output(of: ["cat", "\($0)/\(part).jsonl"]) }
            #expect(files[0] == files[1])
            return Set(
                try lines(of: ["cat", "\(folders[0])/\(part).jsonl"]).compactMap {
                    $0["conversation"]?.string
                })
        }
        #expect(parts[0].isDisjoint(with: parts[1]))
        #expect(parts[0].count + parts[1].count == Talk.count)
        #expect((4...20).contains(parts[1].count))
    }

    @Test("A directory that is there is not written to")
    func exists() throws {
        let (folder, _) = try talk.export(.jsonl)
        #expect(throws: ExportError.self) {
            _ = try HistoryExport.export(
                talk.files, as: .csv, into: folder, options: ExportOptions())
        }
    }
}
