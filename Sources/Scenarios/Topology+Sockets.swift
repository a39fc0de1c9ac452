internal import Foundation
internal import Topologies

/// Sockets that a topology places outside of the run's own folder.
extension Topology {
    var socketPaths: [String] {
        // What runs already keeps its own.
        let endpoints =
            branches.filter { $0.provider != .running }.map(\.endpoint)
            + topicProxies.filter { $0.provider != .running }.flatMap {
                [$0.publish, $0.subscribe]
            }
        return endpoints.compactMap { endpoint in
            guard case .ipc(let path)? = endpoint, path.hasPrefix("/") else { return nil }
            return path
        }
    }

    /// Removes them, as their processes have ended, and returns their paths.
    func removeSockets() -> [String] {
        // What cannot be removed shows in the certificate.
        for path in socketPaths { try? FileManager.default.removeItem(atPath: path) }
        return socketPaths
    }
}
