package import Recording
internal import Routing

/// Where one mesh of a run is: the run's own, or one of a twin's two.
package struct MeshPlace: Sendable, Hashable {
    /// Empty for the run's own mesh.
    let label: String
    /// Its histories and logs.
    package let directory: RunDirectory

    /// The run's own mesh.
    package init(of context: RunContext) {
        label = ""
        directory = context.directory
    }

    /// One of two meshes of a run.
    package init(twin label: String, of context: RunContext) {
        self.label = label
        directory = RunDirectory("\(context.directory.path)/\(label)")
    }

    /// Where the proxy of a branch keeps where its agents live.
    func registry(of branch: String) -> RouteRegistry {
        RouteRegistry(path: "\(directory.processesPath)/\(branch).routes.json")
    }

    /// The supervisor's name for a part: unique in the run.
    package func process(_ part: String) -> String { label.isEmpty ? part : "\(label).\(part)" }

    /// The part that a process of this mesh is, or `nil` where it is none of its processes.
    func part(_ process: String) -> String? {
        guard !label.isEmpty else { return process.contains(".") ? nil : process }
        return process.hasPrefix(label + ".") ? String(process.dropFirst(label.count + 1)) : nil
    }
}
