internal import Foundation
internal import Glibc
internal import JSON

/// The folder that runs of the bench are kept in, one JSON file each, numbered from 1.
public struct ResultsFolder: Sendable {
    /// Where it is when nobody says.
    public static let pathDefault = "bench-results"

    let path: String

    /// The folder at a path; it need not be there yet.
    public init(_ path: String) { self.path = path }

    /// Keeps a run under the next number.
    ///
    /// Two that end at the same time get two numbers.
    ///
    /// - Returns: The path of its file.
    /// - Throws: `Bench.Failure`.
    public func keep(_ run: KeptRun) throws(Bench.Failure) -> String {
        do {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
        } catch {
            throw Bench.Failure("could not make the folder \(path): \(error.localizedDescription)")
        }
        let stamp = run.date.replacing(":", with: "-")
        let bytes = Array((run.json.canonical + "\n").utf8)
        // Written aside and then linked: a reader never sees half a file, nor two one number.
        let draft = "\(path)/.\(getpid()).draft"
        guard FileManager.default.createFile(atPath: draft, contents: Data(bytes)) else {
            throw Bench.Failure("could not write \(draft): \(String(cString: strerror(errno)))")
        }
        defer { unlink(draft) }
        var number = (files().last?.number ?? 0) + 1
        while true {
            let digits = String(number)
            let padding = String(repeating: "0", count: max(0, 4 - digits.count))
            let taken = "\(path)/.\(digits).taken"
            let file = "\(path)/\(padding)\(digits)-\(stamp).json"
            // The number alone decides: the time in the name may differ.
            if link(draft, taken) == 0 {
                defer { unlink(taken) }
                if !files().contains(where: { $0.number == number }), link(draft, file) == 0 {
                    return file
                }
            } else if errno != EEXIST {
                throw Bench.Failure(
                    "could not write \(file): \(String(cString: strerror(errno)))")
            }
            number += 1
        }
    }

    /// The kept runs that can be read, oldest first, and what is wrong with the others.
    public func runs() -> (runs: [KeptRun], problems: [String]) {
        var runs: [KeptRun] = []
        var problems: [String] = []
        for file in files() {
            do throws(Bench.Failure) {
                runs.append(try Self.read("\(path)/\(file.name)", number: file.number))
            } catch {
                problems.append(error.description)
            }
        }
        return (runs, problems)
    }

    /// One side of a comparison: a file, a number, `last`, `last-N`, or several of them by commas.
    ///
    /// - Throws: `Bench.Failure` where something is not there.
    public func runs(named names: String) throws(Bench.Failure) -> [KeptRun] {
        var found: [KeptRun] = []
        for name in names.split(separator: ",").map(String.init) {
            found.append(try run(named: name))
        }
        guard !found.isEmpty else { throw Bench.Failure("'\(names)' names no run") }
        return found
    }

    private func run(named name: String) throws(Bench.Failure) -> KeptRun {
        let files = files()
        let back = name == "last" ? 0 : name.hasPrefix("last-") ? Int(name.dropFirst(5)) : nil
        if let back {
            guard back >= 0, back < files.count else {
                throw Bench.Failure(
                    "could not find '\(name)': \(path) has \(files.count) kept runs")
            }
            let file = files[files.count - 1 - back]
            return try Self.read("\(path)/\(file.name)", number: file.number)
        }
        if let number = Int(name) {
            guard let file = files.first(where: { $0.number == number }) else {
                let numbers =
                    files.isEmpty ? "none" : "\(files[0].number)...\(files.last?.number ?? 0)"
                throw Bench.Failure("could not find run \(number): \(path) has \(numbers)")
            }
            return try Self.read("\(path)/\(file.name)", number: number)
        }
        return try Self.read(
            name, number: Self.number(of: URL(filePath: name).lastPathComponent) ?? 0)
    }

    private static func read(_ path: String, number: Int) throws(Bench.Failure) -> KeptRun {
        guard let contents = FileManager.default.contents(atPath: path) else {
            throw Bench.Failure("could not read \(path): \(String(cString: strerror(errno)))")
        }
        guard let value = try? Value(parsing: Array(contents)) else {
            throw Bench.Failure("could not read \(path): it is not JSON")
        }
        return try KeptRun(value, number: number, path: path)
    }

    private func files() -> [(number: Int, name: String)] {
        ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? [])
            .compactMap { name in Self.number(of: name).map { ($0, name) } }
            .sorted { ($0.0, $0.1) < ($1.0, $1.1) }
    }

    private static func number(of name: String) -> Int? {
        guard name.hasSuffix(".json") else { return nil }
        return Int(name.prefix { $0.isNumber })
    }
}
