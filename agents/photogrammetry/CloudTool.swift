import AgentRuntime
import Glibc
import JSON
import PointClouds

/// What `synmesh-photogrammetry` does for a person.
enum CloudTool {
    static let usage = """
        usage: synmesh-photogrammetry scene sphere|torus|terrain POINTS SEED ascii|binary > FILE
               synmesh-photogrammetry summary FILE
        Without arguments it is an agent, started by 'synmesh up' or 'synmesh run'.
        """

    static func run(_ arguments: [String]) -> Never {
        switch arguments.first {
        case "scene" where arguments.count == 5: scene(arguments)
        case "summary" where arguments.count == 2: summary(of: arguments[1])
        default: fail(usage, code: 64)
        }
    }

    private static func scene(_ arguments: [String]) -> Never {
        guard let shape = Scene.Shape(rawValue: arguments[1]),
            let points = Int(arguments[2]), (1...Scene.pointsMax).contains(points),
            let seed = UInt64(arguments[3]), ["ascii", "binary"].contains(arguments[4])
        else { fail(usage, code: 64) }
        let cloud = Scene(shape: shape, points: points, seed: seed).cloud()
        let comment = "synmesh-photogrammetry \(arguments.joined(separator: " "))"
        write(
            arguments[4] == "ascii"
                ? PLY.ascii(cloud, comment: comment) : PLY.binary(cloud, comment: comment),
            to: STDOUT_FILENO)
        exit(0)
    }

    private static func summary(of path: String) -> Never {
        do throws(AgentFailure) {
            let cloud = try CloudFile.read(path)
            let json = CloudSummary(cloud, content: CloudContent.encode(cloud)).json
            write(Array((json.canonical + "\n").utf8), to: STDOUT_FILENO)
            exit(0)
        } catch {
            fail(error.message, code: error.code.rawValue)
        }
    }

    private static func fail(_ message: String, code: Int32) -> Never {
        write(Array((message + "\n").utf8), to: STDERR_FILENO)
        exit(code)
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var offset = 0
        while offset < bytes.count {
            let written = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: offset), bytes.count - offset)
            }
            guard written > 0 || errno == EINTR else { exit(1) }
            offset += max(written, 0)
        }
    }
}

/// A user's PLY file.
enum CloudFile {
    /// More is refused, since a file is read whole.
    static let sizeMax = 2 << 30

    /// The cloud of a file.
    static func read(_ path: String) throws(AgentFailure) -> PointCloud {
        guard let bytes = try AgentMain.contents(of: path, atMost: sizeMax) else {
            throw AgentFailure(.settings, "there is no file '\(path)'")
        }
        do throws(PLYError) {
            return try PLY.read(bytes)
        } catch {
            throw AgentFailure(.settings, "\(path): \(error)")
        }
    }
}
