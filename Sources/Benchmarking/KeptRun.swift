internal import Foundation
public import JSON
internal import NATS
internal import ZeroMQ

/// One run of the bench as it is kept: its rows, and what they were measured on.
public struct KeptRun: Sendable {
    /// What figures depend on beside the code.
    public struct Host: Sendable, Hashable {
        /// How many processors a process may use.
        public var processors: Int
        /// What they call themselves.
        public var processor: String
        /// The kernel's name and release.
        public var kernel: String
        /// Versions of the libraries and of the server, by name.
        public var versions: [String: String]
    }

    /// The run's place in its folder, from 1; 0 of a run that is not kept.
    public var number = 0
    /// Seconds since 1970.
    public var time: Double
    /// The version of synmesh.
    public var version: String
    /// Whether it was a quick one.
    public var isQuick: Bool
    /// Whether it was one without optimisation.
    public var isDebugBuild: Bool
    /// What it was measured on.
    public var host: Host
    /// What was measured.
    public var rows: [Row]

    /// A run that has just ended.
    public init(_ rows: [Row], version: String, isQuick: Bool) {
        time = Date().timeIntervalSince1970.rounded()
        self.version = version
        self.isQuick = isQuick
        isDebugBuild = Bench.isDebugBuild
        host = .here
        self.rows = rows
    }

    /// The row of a metric.
    func row(_ metric: String) -> Row? { rows.first { $0.metric == metric } }

    /// When it was, in UTC: `2026-11-24T15:02:11Z`.
    public var date: String { Self.text(of: time) }

    static func text(of time: Double) -> String {
        Date(timeIntervalSince1970: time).formatted(.iso8601)
    }
}

extension KeptRun {
    /// The format that is written and read.
    static let format: Int64 = 1

    /// The run as its file has it.
    public var json: Value {
        [
            "synmesh_bench": .integer(Self.format),
            "date": .string(date),
            "synmesh": .string(version),
            "quick": .bool(isQuick),
            "debug": .bool(isDebugBuild),
            "host": [
                "processors": Value(host.processors),
                "processor": .string(host.processor),
                "kernel": .string(host.kernel),
                "versions": .object(host.versions.mapValues(Value.string)),
            ],
            "rows": .array(rows.map(\.json)),
        ]
    }

    /// Reads what `json` wrote.
    ///
    /// - Throws: `Bench.Failure` with what is wrong.
    init(_ value: Value, number: Int, path: String) throws(Bench.Failure) {
        func missing(_ what: String) -> Bench.Failure {
            Bench.Failure("could not read \(path): \(what)")
        }
        guard let format = value["synmesh_bench"]?.integer else {
            throw missing("it is no kept run of 'synmesh bench'")
        }
        guard format == Self.format else {
            throw missing("its format is \(format), and this synmesh reads \(Self.format)")
        }
        guard let date = value["date"]?.string,
            let instant = try? Date(date, strategy: .iso8601)
        else { throw missing("it has no 'date'") }
        guard let rows = value["rows"]?.array else { throw missing("it has no 'rows'") }
        self.number = number
        time = instant.timeIntervalSince1970
        version = value["synmesh"]?.string ?? ""
        isQuick = value["quick"]?.bool ?? false
        isDebugBuild = value["debug"]?.bool ?? false
        let host = value["host"]
        self.host = Host(
            processors: Int(host?["processors"]?.integer ?? 0),
            processor: host?["processor"]?.string ?? "",
            kernel: host?["kernel"]?.string ?? "",
            versions: (host?["versions"]?.object ?? [:]).compactMapValues(\.string))
        self.rows = []
        for (index, row) in rows.enumerated() {
            guard let row = Row(row) else { throw missing("row \(index + 1) is none") }
            self.rows.append(row)
        }
    }
}

extension KeptRun.Host {
    /// This machine.
    static var here: Self {
        var system = utsname()
        uname(&system)
        let kernel = [bytes(of: &system.sysname), bytes(of: &system.release)]
        let model =
            (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8))?
            .split(separator: "\n").first { $0.hasPrefix("model name") }?
            .split(separator: ":", maxSplits: 1).last?.trimmingCharacters(in: .whitespaces)
        var versions = ["libzmq": LibraryVersion.text, "libnats": ClientVersion.text]
        versions["nats-server"] = serverVersion
        return Self(
            processors: ProcessInfo.processInfo.activeProcessorCount, processor: model ?? "",
            kernel: kernel.joined(separator: " "), versions: versions)
    }

    private static func bytes<Field>(of field: inout Field) -> String {
        withUnsafeBytes(of: &field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// What `nats-server --version` says; nil where there is none.
    private static var serverVersion: String? {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["nats-server", "--version"]
        process.standardInput = FileHandle.nullDevice
        let output = Pipe()
        process.standardOutput = output
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return nil }
        let said = output.fileHandleForReading.readDataToEndOfFile()
        process.waitUntilExit()
        guard process.terminationStatus == 0 else { return nil }
        return String(decoding: said, as: UTF8.self).split(whereSeparator: \.isWhitespace).last
            .map { $0.hasPrefix("v") ? String($0.dropFirst()) : String($0) }
    }
}
