import AgentRuntime
import Glibc
import JSON
import PointClouds

/// What `synmesh-photogrammetry` does for a person.
enum CloudTool {
    static let usage = """
        usage: synmesh-photogrammetry scene sphere|torus|terrain POINTS SEED ascii|binary
                   [VIEW VIEWS] > FILE
               synmesh-photogrammetry summary FILE [VOXEL]
        A VIEW (from 0, of VIEWS) is what one of several cameras sees, in its own coordinates.
        With a VOXEL, the edge of a cube, the surface is measured too.
        Without arguments it is an agent, started by 'synmesh up' or 'synmesh run'.
        """

    static func run(_ arguments: [String]) -> Never {
        switch (arguments.first, arguments.count) {
        case ("scene", 5), ("scene", 7): scene(arguments)
        case ("summary", 2), ("summary", 3): summary(arguments)
        default: fail(usage, code: 64)
        }
    }

    private static func scene(_ arguments: [String]) -> Never {
        guard let shape = Scene.Shape(rawValue: arguments[1]),
            let points = Int(arguments[2]), (1...Scene.pointsMax).contains(points),
            let seed = UInt64(arguments[3]), ["ascii", "binary"].contains(arguments[4])
        else { fail(usage, code: 64) }
        var view: View?
        if arguments.count == 7 {
            guard let index = Int(arguments[5]), let count = Int(arguments[6]),
                let named = View(index, of: count)
            else { fail(usage, code: 64) }
            view = named
        }
        let scene = Scene(shape: shape, points: points, seed: seed)
        let cloud = scene.cloud(view)
        let comment = "synmesh-photogrammetry \(arguments.joined(separator: " "))"
        write(
            arguments[4] == "ascii"
                ? PLY.ascii(cloud, comment: comment) : PLY.binary(cloud, comment: comment),
            to: STDOUT_FILENO)
        exit(0)
    }

    private static func summary(_ arguments: [String]) -> Never {
        var voxel: Double?
        if arguments.count == 3 {
            guard let edge = Double(arguments[2]), voxelRange.contains(edge) else {
                fail(usage, code: 64)
            }
            voxel = edge
        }
        do throws(AgentFailure) {
            let bytes = try CloudFile.read(arguments[1]).content()
            let report = bytes.withUnsafeBytes { bytes in
                reading(bytes) { CloudReport($0, voxel: voxel).json }
            }
            switch report {
            case .success(let json): write(Array((json.canonical + "\n").utf8), to: STDOUT_FILENO)
            case .failure(let refusal): fail(refusal.reason, code: 70)
            }
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
