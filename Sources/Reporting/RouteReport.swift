public import Histories
public import JSON

/// What `synmesh history routes` says: the seed's routing report, and advice.
public struct RouteReport: Sendable {
    private let routes: Routes
    private let place: String

    /// A report on the routes of recordings.
    public init(_ routes: Routes, place: String) {
        self.routes = routes
        self.place = place
    }

    /// The report as lines for a terminal; ends with a line break.
    public func text(colour: Bool, width: Int = 120) -> String {
        let ink = Ink(hasColour: colour)
        let milliseconds = Int(routes.duration / 1_000_000)
        var lines = [
            ink.text(Text.cut(place, to: width), .bold),
            "  \(Numbers.count(routes.count, "message")), \(Numbers.bytes(routes.bytes)), "
                + Numbers.duration(milliseconds: milliseconds),
        ]
        var table = Table([.left, .left, .right, .right, .right, .right, .right, .right])
        table.add(
            ["route", "type", "messages", "share", "bytes", "peak/s", "median", "largest"].map {
                .init($0)
            })
        let sorted = routes.routes.sorted {
            ($1.value.count, $0.key) < ($0.value.count, $1.key)
        }
        for (key, route) in sorted {
            let share = Double(route.count) / Double(max(1, routes.count)) * 100
            table.add([
                .init("\(key.source) -> \(key.destination)"), .init(key.type),
                .init(Numbers.grouped(route.count)), .init(Numbers.fixed(share, 1) + " %"),
                .init(Numbers.bytes(route.bytes)), .init(Numbers.grouped(route.peak)),
                .init(Numbers.bytes(route.bytesMedian)), .init(Numbers.bytes(route.bytesMax)),
            ])
        }
        lines += [""] + table.lines(ink, width: width)
        for advice in routes.advice {
            let name = advice.subject.rawValue.replacing("_", with: " ")
            let head = advice.place.isEmpty ? name : "\(name), \(advice.place)"
            lines += ["", ink.text(head, .bold)]
            lines += Text.wrapped(advice.text, width: width - 2).map { "  " + $0 }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// The report for programs.
    public var json: Value {
        [
            "place": .string(place), "messages": Value(routes.count), "bytes": Value(routes.bytes),
            "duration_ms": Value(routes.duration / 1_000_000),
            "routes": .array(
                routes.routes.sorted { $0.key < $1.key }.map { key, route in
                    [
                        "source": .string(key.source), "destination": .string(key.destination),
                        "type": .string(key.type), "messages": Value(route.count),
                        "bytes": Value(route.bytes), "peak_per_second": Value(route.peak),
                        "bytes_median": Value(route.bytesMedian),
                        "bytes_max": Value(route.bytesMax),
                    ]
                }),
            "advice": .array(
                routes.advice.map { advice in
                    [
                        "subject": .string(advice.subject.rawValue),
                        "place": .string(advice.place), "text": .string(advice.text),
                    ]
                }),
            "notes": .array(routes.notes.map(Value.string)),
        ]
    }
}
