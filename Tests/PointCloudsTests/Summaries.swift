import PointClouds

/// What is said of a cloud whose message arrives.
func summary(of cloud: PointCloud) throws -> CloudSummary {
    try cloud.content().withUnsafeBytes { CloudSummary(try CloudContent($0)) }
}
