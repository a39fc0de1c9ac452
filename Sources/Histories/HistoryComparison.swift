public import Analysis
public import Recording

/// Compares recordings that are too long to be held in memory.
public enum HistoryComparison {
    /// What was found, and in what state the files were.
    public struct Outcome: Sendable {
        /// The comparison.
        public var report: ComparisonReport
        /// What was wrong with the files, each with its side: what a damaged history no longer says
        /// cannot match.
        public var damages: [String]
    }

    /// Compares what two runs or recordings delivered, mesh by mesh.
    ///
    /// - Parameters:
    ///   - left: One of them.
    ///   - right: The other.
    ///   - options: How contents are compared and identities paired.
    ///   - bounds: How far apart things may be.
    ///   - noise: Two runs or recordings that should be the same: what differs there as often is noise.
    /// - Returns: The report, and in what state the files were.
    /// - Throws: `HistoryError` when a file cannot be read.
    /// - Complexity: Linear in the size of the files; memory is bounded by `bounds` and a megabyte a
    ///   file.
    public static func compare(
        _ left: HistoryFiles, _ right: HistoryFiles, options: ComparisonOptions,
        bounds: StreamComparison.Bounds = .init(),
        noise: (HistoryFiles, HistoryFiles)? = nil
    ) throws(HistoryError) -> Outcome {
        var outcome = try compare(left, right, options, bounds)
        guard let noise else { return outcome }
        let reference = try compare(noise.0, noise.1, options, bounds)
        let noisy = outcome.report.noise(beside: reference.report, rules: options.rules)
        if !noisy.isEmpty {
            // Again, so that what else is wrong with envelopes that differ in such places comes out.
            var options = options
            options.noisyPlaces = Set(noisy.map(\.path))
            outcome = try compare(left, right, options, bounds)
            outcome.report.noisePlaces = noisy
        }
        outcome.damages += reference.damages.map { "noise: \($0)" }
        return outcome
    }

    private static func compare(
        _ left: HistoryFiles, _ right: HistoryFiles, _ options: ComparisonOptions,
        _ bounds: StreamComparison.Bounds
    ) throws(HistoryError) -> Outcome {
        let nothing = ComparisonReport(counts: ComparisonCounts(mode: options.mode))
        var whole: Outcome?
        for (one, other) in pairs(left, right) {
            let next = try compare(one, other, options, bounds)
            whole?.report.add(next.report)
            whole?.damages += next.damages
            whole = whole ?? next
        }
        return whole ?? Outcome(report: nothing, damages: [])
    }

    /// Meshes of the same name.
    ///
    /// A mesh that one side lacks is compared with nothing. Where each side
    /// has one mesh alone, these are compared whatever they are.
    private static func pairs(
        _ left: HistoryFiles, _ right: HistoryFiles
    ) -> [(left: [String], right: [String])] {
        if left.parts.count == 1, right.parts.count == 1 { return [(left.paths, right.paths)] }
        let names = Set(left.parts.map(\.name)).union(right.parts.map(\.name)).sorted()
        return names.map { name in
            (
                left.parts.first { $0.name == name }?.paths ?? [],
                right.parts.first { $0.name == name }?.paths ?? []
            )
        }
    }

    private static func compare(
        _ left: [String], _ right: [String], _ options: ComparisonOptions,
        _ bounds: StreamComparison.Bounds
    ) throws(HistoryError) -> Outcome {
        var one = try MergedCursor(paths: left)
        var other = try MergedCursor(paths: right)
        let contents = [MergedContents(paths: left), MergedContents(paths: right)]
        let fetch: StreamComparison.Fetch = { (side, place) throws(HistoryError) in
            try contents[side.rawValue].content(at: place)
        }
        var comparison = StreamComparison(options: options, bounds: bounds)
        var damages: [String] = []
        repeat {
            try one.rewind()
            try other.rewind()
            while let side = comparison.wanted {
                switch side {
                case .left: try step(&comparison, &one, side, fetch, &damages)
                case .right: try step(&comparison, &other, side, fetch, &damages)
                }
            }
        } while try comparison.endPass(fetch: fetch)
        return Outcome(report: comparison.report(), damages: damages)
    }

    /// Hands on one item of one side.
    private static func step(
        _ comparison: inout StreamComparison, _ cursor: inout MergedCursor,
        _ side: StreamComparison.Side, _ fetch: StreamComparison.Fetch,
        _ damages: inout [String]
    ) throws(HistoryError) {
        switch try cursor.next() {
        case .record(let record):
            if cursor.kindCount > comparison.kindCount(of: side) {
                comparison.learn(cursor.kinds, of: side)
            }
            try comparison.take(record, of: side, fetch: fetch)
        case .annotation(let annotation): comparison.take(annotation, of: side)
        case nil:
            comparison.end(of: side)
            for note in cursor.notes {
                let damage = "\(side): \(note)"
                if !damages.contains(damage) { damages.append(damage) }
            }
        }
    }
}
