internal import Foundation
public import JSON
internal import Recording
public import Supervision

/// What is written down of a mesh that is up, for those who look for it.
///
/// It lies in the folder of the mesh's sockets, which is gone when the mesh is.
public struct MeshRecord: Sendable, Hashable {
    /// The topology's name.
    public let name: String
    /// The run's id.
    public let run: String
    /// The topology's file; empty where a scenario has it.
    public let topology: String
    /// Where its logs and histories are.
    public let directory: String
    /// Where it is asked.
    public let socket: String
    /// The orchestrator.
    public let orchestrator: ProcessIdentity
    /// The orchestrator's guardian.
    public let guardian: ProcessIdentity
    /// What names the files that must not outlive it.
    public let manifest: String

    /// Whether somebody looks after it.
    public var isAlive: Bool { orchestrator.isAlive || guardian.isAlive }

    /// Whether it can be asked anything: what `synmesh run` and `bench` play cannot.
    public var canBeAsked: Bool { FileManager.default.fileExists(atPath: socket) }

    /// The records of all meshes of this user, oldest first; those of runs that were killed together
    /// with their guardian are among them.
    public static func all() -> [MeshRecord] {
        let parent = RunContext.runtimeParent
        let runs = (try? FileManager.default.contentsOfDirectory(atPath: parent)) ?? []
        return runs.sorted().compactMap { run in
            let path = "\(parent)/\(run)/\(Self.file)"
            guard let data = FileManager.default.contents(atPath: path),
                let value = try? Value(parsing: Array(data))
            else { return nil }
            return MeshRecord(value)
        }
    }

    static let file = "mesh.json"
    /// Where the run's starts are noted down.
    static let journal = "processes"

    /// What still runs of it, where nobody looks after it any more.
    public var remains: Remains {
        Remains(token: run, journal: "\(RunContext.runtimeParent)/\(run)/\(Self.journal)")
    }

    /// Ends what still runs of it, and removes what it left.
    public func clean() -> Remains.Outcome {
        Remains.clean(
            token: run, journal: "\(RunContext.runtimeParent)/\(run)/\(Self.journal)",
            manifest: manifest)
    }

    func write(to folder: String) throws {
        let path = "\(folder)/\(Self.file)"
        // Whole or not at all, since somebody may look at any time.
        try Data((json.canonical + "\n").utf8).write(to: URL(filePath: path), options: .atomic)
    }

    /// The record as it is written.
    public var json: Value {
        [
            "synmesh": 1, "name": .string(name), "run": .string(run),
            "topology": .string(topology), "directory": .string(directory),
            "socket": .string(socket), "orchestrator": Self.json(orchestrator),
            "guardian": Self.json(guardian), "manifest": .string(manifest),
        ]
    }

    private static func json(_ identity: ProcessIdentity) -> Value {
        ["process": Value(identity.process), "start": Value(identity.startTicks)]
    }

    private init?(_ value: Value) {
        func text(_ key: String) -> String? { value[key]?.string }
        func identity(_ key: String) -> ProcessIdentity? {
            guard let process = value[key]?["process"]?.integer.flatMap(Int32.init(exactly:)),
                let start = value[key]?["start"]?.integer.flatMap(UInt64.init(exactly:))
            else { return nil }
            return ProcessIdentity(process: process, startTicks: start)
        }
        guard value["synmesh"]?.integer == 1, let name = text("name"), let run = text("run"),
            let topology = text("topology"), let directory = text("directory"),
            let socket = text("socket"), let manifest = text("manifest"),
            let orchestrator = identity("orchestrator"), let guardian = identity("guardian")
        else { return nil }
        self.name = name
        self.run = run
        self.topology = topology
        self.directory = directory
        self.socket = socket
        self.manifest = manifest
        self.orchestrator = orchestrator
        self.guardian = guardian
    }

    init(of context: RunContext, topology: String, guardian: Int32) throws {
        guard let own = ProcessIdentity.own, let guardian = ProcessIdentity(of: guardian) else {
            throw EnvironmentError("could not note the mesh down", reason: "/proc cannot be read")
        }
        name = context.name
        run = context.run
        self.topology = topology
        directory = context.directory.path
        socket = "\(context.runtime)/operator"
        orchestrator = own
        self.guardian = guardian
        manifest = context.manifest.path
    }
}
