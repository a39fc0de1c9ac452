public import Analysis
internal import Mustache
internal import Wire

/// What `synmesh diff --html` writes: the report as one page that needs nothing else.
public struct DiffPage: Sendable {
    private let report: ComparisonReport
    private let left: String
    private let right: String

    /// A page about a comparison of two named sides.
    public init(_ report: ComparisonReport, left: String, right: String) {
        self.report = report
        self.left = left
        self.right = right
    }

    /// The page's text.
    ///
    /// - Throws: Where the template is none, which would be a defect.
    public func html() throws -> String {
        let template = try MustacheTemplate(string: Self.template)
        return template.render(context)
    }

    private var context: [String: Any] {
        let diff = DiffReport(report, left: left, right: right)
        var classes: [[String: Any]] = [
            ["name": "match", "count": Numbers.grouped(report.counts.match), "some": true]
        ]
        for deviation in ComparisonCounts.classes {
            let count = report.counts[deviation]
            classes.append([
                "name": deviation.rawValue, "count": Numbers.grouped(count), "some": count > 0,
            ])
        }
        var context: [String: Any] = [
            "headline": diff.headline, "same": diff.isSame, "left": left, "right": right,
            "classes": classes,
            "differences": report.differences.map(Self.difference),
            "omitted": report.differencesOmitted > 0
                ? Numbers.grouped(report.differencesOmitted) : "",
            "noise": report.noisePlaces.map { noise -> [String: Any] in
                ["path": noise.path, "rate": Numbers.fixed(noise.rate * 100, 2)]
            },
            "hasNoise": !report.noisePlaces.isEmpty,
        ]
        if let first = report.first {
            context["first"] =
                [
                    "envelope": first.identity.description, "receiver": first.receiver,
                    "left": first.left.map(Self.line), "right": first.right.map(Self.line),
                ] as [String: Any]
        }
        return context
    }

    private static func line(_ line: ContextLine) -> [String: Any] {
        [
            "number": "#\(line.identity.incarnation).\(line.identity.sequence)",
            "type": line.type, "content": line.content, "differs": line.isDivergent,
        ]
    }

    private static func difference(_ difference: ComparisonDifference) -> [String: Any] {
        [
            "class": difference.deviation.rawValue, "envelope": difference.identity.description,
            "receiver": difference.receiver, "reason": difference.reason,
            "path": difference.path ?? "", "before": difference.left ?? "",
            "after": difference.right ?? "",
            "hasPlace": difference.path != nil,
            "ancestor": difference.ancestor?.description ?? "",
        ]
    }

    private static let template = """
        <!doctype html>
        <html lang="en">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>{{headline}}</title>
        <style>
        :root { color-scheme: light dark; --line: #8884; --bad: #c33; --good: #283; --soft: #8881; }
        @media (prefers-color-scheme: dark) { :root { --bad: #f77; --good: #6c8; } }
        body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
        h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
        .bad { color: var(--bad); } .good { color: var(--good); }
        code, pre, td { font-family: ui-monospace, monospace; font-size: 13px; overflow-wrap: anywhere; }
        table { border-collapse: collapse; }
        td, th { padding: .15rem .8rem .15rem 0; text-align: left; vertical-align: top; }
        .counts td + td { text-align: right; }
        .none { opacity: .45; }
        .sides { display: grid; grid-template-columns: 1fr 1fr; gap: 1rem; }
        .sides td:not(:last-child) { white-space: nowrap; }
        .sides table { width: 100%; } .differs { background: var(--soft); font-weight: 600; }
        details { border-top: 1px solid var(--line); padding: .35rem 0; }
        summary { cursor: pointer; } summary b { display: inline-block; min-width: 7rem; }
        .diff { margin: .3rem 0 .3rem 1rem; }
        </style>
        </head>
        <body>
        <h1 class="{{#same}}good{{/same}}{{^same}}bad{{/same}}">{{headline}}</h1>
        <table>
        <tr><th>left</th><td>{{left}}</td></tr>
        <tr><th>right</th><td>{{right}}</td></tr>
        </table>
        <h2>Classes</h2>
        <table class="counts">
        {{#classes}}<tr{{^some}} class="none"{{/some}}><td>{{name}}</td><td>{{count}}</td></tr>
        {{/classes}}</table>
        {{#first}}
        <h2>First divergence: {{envelope}} at {{receiver}}</h2>
        <div class="sides">
        <table>{{#left}}<tr{{#differs}} class="differs"{{/differs}}><td>{{number}}</td><td>{{type}}</td><td>{{content}}</td></tr>
        {{/left}}</table>
        <table>{{#right}}<tr{{#differs}} class="differs"{{/differs}}><td>{{number}}</td><td>{{type}}</td><td>{{content}}</td></tr>
        {{/right}}</table>
        </div>
        {{/first}}
        <h2>Differences</h2>
        {{#differences}}<details><summary><b>{{class}}</b> <code>{{envelope}}</code></summary>
        <div class="diff"><p>{{reason}}{{#ancestor}} It follows from <code>{{ancestor}}</code>.{{/ancestor}} Received by {{receiver}}.</p>
        {{#hasPlace}}<p><code>{{path}}</code></p><pre class="bad">- {{before}}</pre><pre class="good">+ {{after}}</pre>{{/hasPlace}}</div></details>
        {{/differences}}
        {{#omitted}}<p>… and {{omitted}} more.</p>{{/omitted}}
        {{#hasNoise}}<h2>Noise</h2>
        <table>{{#noise}}<tr><td>{{path}}</td><td>{{rate}} %</td></tr>
        {{/noise}}</table>{{/hasNoise}}
        </body>
        </html>

        """
}
