import JSON
import PointClouds
import Reconstruction

/// All that is said of a cloud: its summary, and where there is one its surface.
struct CloudReport {
    let json: Value

    /// Measures a cloud.
    ///
    /// - Parameters:
    ///   - content: The cloud.
    ///   - voxel: How finely the surface of points as measured is looked at; nil is not at all.
    init(_ content: CloudContent, voxel: Double?) {
        let header = content.header
        var members = CloudSummary(content).json.object ?? [:]
        members["scene"] = Value(header.scene)
        if header.hasNormals || voxel != nil {
            do throws(GridError) {
                let surface = try CloudReport.surface(content, voxel)
                members["triangles"] = surface.map { Value($0.triangles) } ?? .null
                members["area"] = surface.map { .double($0.area) } ?? .null
            } catch {
                // The points are what they are; only nothing is said of their surface.
                members["triangles"] = .null
                members["area"] = .null
                members["no_surface"] = .string(error.description)
            }
        }
        json = .object(members)
    }

    private static func surface(
        _ content: CloudContent, _ voxel: Double?
    ) throws(GridError) -> Surface? {
        if let own = Surface(content) { return own }
        guard let voxel else { return nil }
        let grid = VoxelGrid(voxel: voxel)
        try grid.add(content)
        return Surface(Surfels(grid))
    }
}
