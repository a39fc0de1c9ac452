internal import Glibc
internal import Wire
public import YAML

extension Topology {
    /// The result of loading: a topology, or what is wrong with the file; warnings with either.
    public struct Outcome: Sendable {
        /// The topology, where the file has no error.
        public let topology: Topology?
        /// Everything that is wrong, in the file's order.
        public let diagnostics: [Diagnostic]

        /// The diagnostics as they are printed, each followed by a line break.
        public var rendered: String { diagnostics.map { "\($0)\n" }.joined() }
    }

    /// Loads a file and checks it against the machine.
    ///
    /// - Parameters:
    ///   - path: the file
    ///   - facts: what to check against that no file can say
    ///   - adjustments: what the file gets from outside
    /// - Returns: the topology, or what is wrong with the file
    public static func load(
        path: String, facts: MachineFacts = MachineFacts(),
        adjusting adjustments: Adjustments = Adjustments()
    ) -> Outcome {
        let diagnostics = Diagnostics()
        guard let source = Source.read(path, reportingTo: diagnostics) else {
            return Outcome(topology: nil, diagnostics: diagnostics.all)
        }
        return load(
            source, directory: folder(of: path), facts: facts, adjusting: adjustments,
            reportingTo: diagnostics)
    }

    /// Loads a text as if it were the content of a file.
    ///
    /// - Parameters:
    ///   - text: the topology
    ///   - file: the file's name, for diagnostics and as the topology's default name
    ///   - directory: the folder that relative paths start from
    ///   - facts: what to check against that no file can say
    ///   - adjustments: what the text gets from outside
    /// - Returns: the topology, or what is wrong with it
    public static func load(
        text: String, file: String, directory: String = ".", facts: MachineFacts = MachineFacts(),
        adjusting adjustments: Adjustments = Adjustments()
    ) -> Outcome {
        load(
            Source(name: file, text: text), directory: directory, facts: facts,
            adjusting: adjustments, reportingTo: Diagnostics())
    }

    /// Loads a source; the folder is where relative paths start from.
    public static func load(
        _ source: Source, directory: String, facts: MachineFacts = MachineFacts()
    ) -> Outcome {
        load(
            source, directory: directory, facts: facts, adjusting: Adjustments(),
            reportingTo: Diagnostics())
    }

    private static func load(
        _ source: Source, directory: String, facts: MachineFacts,
        adjusting adjustments: Adjustments, reportingTo diagnostics: Diagnostics
    ) -> Outcome {
        var adjustments = adjustments
        adjustments.deferredPrefixes = RunReference.prefixes
        var topology: Topology?
        if let root = Node.parse(source, adjusting: adjustments, reportingTo: diagnostics),
            let declarations = Declarations.reading.read(root, reportingTo: diagnostics)
        {
            let resolver = Resolver(
                declarations, source: source, root: root,
                isAdjusted: !adjustments.overrides.isEmpty
                    || source.lines.contains { $0.contains("${") },
                directory: directory, facts: facts,
                diagnostics: diagnostics)
            topology = resolver.topology()
        }
        return Outcome(
            topology: diagnostics.hasErrors ? nil : topology, diagnostics: diagnostics.all)
    }

    /// The folder of a file, independent of the working folder.
    private static func folder(of path: String) -> String {
        let folder: String
        if let slash = path.lastIndex(of: "/") {
            folder = slash == path.startIndex ? "/" : String(path[..<slash])
        } else {
            folder = "."
        }
        guard let resolved = realpath(folder, nil) else { return folder }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
