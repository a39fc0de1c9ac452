/// A mesh in which a recording is played again, and what is played in it: texts of a topology and a
/// scenario.
public struct ReplayPlan: Sendable {
    /// How a recording is played.
    public struct Options: Sendable {
        /// `zmq` or `nats`.
        public var transport = "zmq"
        /// How many times as fast as it was recorded; nil is as fast as there is room.
        public var speed: Double? = 1
        /// Seconds from the first message on; nil for all.
        public var until: Double?
        /// The agent that runs for real in its own topology; nil where all are doubles.
        public var alone: String?

        /// All of it as it was, on ZeroMQ, without any of its agents.
        public init() {}
    }

    /// The topology's text; nil where the agent's own is used.
    public let topology: String?
    /// What turns the others of the agent's own topology into doubles, as `--set` takes it.
    public let overrides: [String]
    /// The steps of the scenario, and what waits for them.
    public let steps: String
    /// Agents that send, and how much.
    public let counts: [String: Int]

    /// Why a recording cannot be played.
    public struct Failure: Error, Sendable, CustomStringConvertible {
        /// What is wrong, with the remedy.
        public let description: String
    }

    /// Plans.
    ///
    /// - Parameters:
    ///   - sends: What the recording holds.
    ///   - place: Where it is, as an absolute path.
    ///   - agents: The agents of the topology of the agent that runs alone; nil where all are doubles.
    ///   - options: How it is played.
    /// - Throws: `Failure` where nothing can be played.
    public init(
        _ sends: RecordedSends, place: String, agents: [String]? = nil, options: Options
    ) throws(Failure) {
        if let note = sends.notes.first {
            throw Failure(
                description:
                    "the recording is damaged: \(note). 'synmesh history recover' saves what "
                    + "can be read")
        }
        let senders = sends.senders.filter { $0.key != options.alone }
        for (name, sender) in senders.sorted(by: { $0.key < $1.key }) where sender.unplayable > 0 {
            throw Failure(
                description:
                    "of \(sender.unplayable) messages that '\(name)' sent the content is not "
                    + "there: those above the limit of a history are digests, those in shared memory "
                    + "are gone")
        }
        let names = agents ?? sends.agents
        let playing = senders.keys.filter(names.contains).sorted()
        guard !playing.isEmpty else {
            throw Failure(description: "nothing was sent by anybody who is to be played")
        }
        counts = senders.filter { names.contains($0.key) }.mapValues(\.count)
        let doubles = names.filter { $0 != options.alone }
        if agents != nil {
            topology = nil
            overrides = doubles.map { name in
                "agents.\(name)=\(Self.double(name, sends, transport: options.transport))"
            }
        } else {
            topology = Self.topology(doubles, sends, transport: options.transport)
            overrides = []
        }
        let speed = options.speed.map { "\($0)" } ?? "max"
        let until = options.until.map { ", until: \($0)s" } ?? ""
        let loads = playing.map {
            "        \($0): { recording: \(Self.quoted(place)), speed: \(speed)\(until) }\n"
        }
        steps = "steps:\n  - baseline:\n      load:\n" + loads.joined()
    }

    private static func topology(
        _ names: [String], _ sends: RecordedSends, transport: String
    ) -> String {
        var text = "synmesh: 1\nname: replay\n"
        if transport == "nats" { text += "nats:\n  main: {}\n" }
        // A recording says nothing of queues: nothing is to be lost to them here.
        text += "branches:\n  core: { queue: { overflow: pause } }\n"
        let topics = sends.topics.union(sends.subscriptions.values.flatMap { $0 })
        let prefixes = Set(topics.map { String($0.prefix { $0 != "." }) }).sorted()
        if !prefixes.isEmpty {
            text +=
                "topic_proxies:\n  topics: { prefixes: [\(prefixes.joined(separator: ", "))] }\n"
        }
        text += "agents:\n"
        for name in names { text += "  \(name): \(double(name, sends, transport: transport))\n" }
        return text
    }

    private static func double(
        _ name: String, _ sends: RecordedSends, transport: String
    ) -> String {
        let topics = (sends.subscriptions[name] ?? []).sorted().joined(separator: ", ")
        let settings = topics.isEmpty ? "" : ", settings: { subscribe: [\(topics)] }"
        return "{ kind: double, transport: \(transport)\(settings) }"
    }

    private static func quoted(_ text: String) -> String {
        "\"" + text.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"") + "\""
    }
}
