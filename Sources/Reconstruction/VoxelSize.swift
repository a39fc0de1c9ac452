public import PointClouds

extension CloudSummary {
    /// The edge of voxels that suits the cloud where nobody names one: 64 to the box's diagonal.
    ///
    /// Nil where the cloud has no extent.
    public var voxel: Double? {
        guard let box = boundingBox else { return nil }
        let (x, y, z) = (
            box.maximum.x - box.minimum.x, box.maximum.y - box.minimum.y,
            box.maximum.z - box.minimum.z
        )
        let voxel = (x * x + y * y + z * z).squareRoot() / 64
        return voxel.isFinite && voxel > 0 ? voxel : nil
    }
}
