/// Collects everything that is wrong, so that a user sees all of it at once.
///
/// Readers report here and go on; whether there is a result is decided at the end, by `hasErrors`.
/// One collector may serve several files.
public final class Diagnostics {
    /// How many diagnostics are kept; a file that is wrong everywhere needs no more.
    public let countMax: Int

    private var collected: [Diagnostic] = []
    private var seen: Set<Diagnostic> = []
    private var errorCount = 0
    private var overflowed: Diagnostic?

    /// Makes an empty collector.
    public init(countMax: Int = 100) {
        self.countMax = countMax
    }

    /// Whether anything that was reported forbids to use the result.
    public var hasErrors: Bool { errorCount > 0 }

    /// What was reported, by file, line and column; diagnostics of a whole file come first.
    public var all: [Diagnostic] {
        func place(_ diagnostic: Diagnostic) -> (String, Int, Int) {
            (diagnostic.file, diagnostic.location?.line ?? 0, diagnostic.location?.column ?? 0)
        }
        let sorted = collected.enumerated().sorted { left, right in
            let (one, two) = (place(left.element), place(right.element))
            return one == two ? left.offset < right.offset : one < two
        }
        return sorted.map(\.element) + (overflowed.map { [$0] } ?? [])
    }

    /// Everything that was reported, as it is printed: each diagnostic followed by a line break.
    public var rendered: String { all.map { "\($0)\n" }.joined() }

    /// Adds a diagnostic; one that is already there is not repeated.
    public func report(_ diagnostic: Diagnostic) {
        if diagnostic.severity == .error { errorCount += 1 }
        guard !isFull else {
            overflowed =
                overflowed
                ?? Diagnostic(
                    source: Source(name: diagnostic.file, bytes: []),
                    message: "more than \(countMax) problems; the others are not shown")
            return
        }
        if seen.insert(diagnostic).inserted { collected.append(diagnostic) }
    }

    /// Adds an error at a place.
    public func error(_ message: String, at location: Location, help: String? = nil) {
        report(Diagnostic(location: location, message: message, help: help))
    }

    /// Adds a warning at a place.
    public func warning(_ message: String, at location: Location, help: String? = nil) {
        report(
            Diagnostic(severity: .warning, location: location, message: message, help: help))
    }

    /// Adds something that a reader should know.
    public func note(_ message: String, at location: Location, help: String? = nil) {
        report(Diagnostic(severity: .note, location: location, message: message, help: help))
    }

    /// Adds an error about a name that means nothing here, with the nearest one that does.
    ///
    /// Where no name is near, the help lists the ones that there are.
    ///
    /// - Parameters:
    ///   - what: what the name should have been, such as `branch`
    ///   - name: the name that was found
    ///   - location: where it was found
    ///   - names: the names that mean something
    public func unknown(
        _ what: String, _ name: String, at location: Location, among names: some Sequence<String>
    ) {
        guard !isFull else {
            error("", at: location)
            return
        }
        error(
            "unknown \(what) \(Diagnostic.quote(name))", at: location,
            help: Suggestion.help(for: name, among: Array(names)))
    }

    /// Whether no more diagnostics are kept: what is only good for a better message can be skipped.
    public var isFull: Bool { collected.count >= countMax }
}
