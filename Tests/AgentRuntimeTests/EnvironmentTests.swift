import AgentRuntime
import JSON
import Messaging
import Testing
import Wire

private let complete = [
    "SYNMESH_RUN": "r1", "SYNMESH_NAME": "capture-1", "SYNMESH_INCARNATION": "3",
    "SYNMESH_CONTROL": "tcp://127.0.0.1:5000", "SYNMESH_CLOCK_OFFSET": "-12",
    "SYNMESH_SEED": "18446744073709551615", "SYNMESH_HISTORY": "/tmp/h.mcap",
    "SYNMESH_KIND": "probe", "SYNMESH_TRANSPORT": "zmq",
    "SYNMESH_BRANCH_ENDPOINT": "tcp://127.0.0.1:5001",
    "SYNMESH_TOPIC_PROXIES":
        #"[{"name":"t","publish":"tcp://a","subscribe":"tcp://b","prefixes":["tot"]}]"#,
    "SYNMESH_SETTINGS": #"{"to":["report"],"size":10}"#,
]

@Test("A complete environment is read as it is")
func completeEnvironment() throws {
    let environment = try AgentEnvironment { complete[$0] }
    #expect(environment.name == "capture-1" && environment.incarnation == 3)
    #expect(environment.clock == RunClock(offset: -12) && environment.seed == .max)
    #expect(environment.transport == .zmq && environment.branch == "tcp://127.0.0.1:5001")
    #expect(environment.nats == nil && environment.state == nil)
    #expect(environment.topicProxies.map(\.prefixes) == [["tot"]])
    #expect(environment.settings["size"] == 10)
    #expect(environment.batching == nil)
}

@Test("What goes together is read as the orchestrator writes it, or named as malformed")
func batchVariable() throws {
    var variables = complete
    variables["SYNMESH_BATCH"] =
        #"{"messages":20,"bytes":4096,"latency_us":1500,"single":["old"],"single_topics":true}"#
    let environment = try AgentEnvironment { [variables] in variables[$0] }
    let batching = try #require(environment.batching)
    #expect(batching.messages == 20 && batching.bytes == 4_096)
    #expect(batching.latency == .microseconds(1_500))
    #expect(batching.singles == ["old"] && batching.areTopicsSingle)
    for wrong in ["[]", #"{"messages":0,"bytes":1,"latency_us":1}"#, #"{"messages":2}"#] {
        variables["SYNMESH_BATCH"] = wrong
        let failure = try #require(throws: AgentFailure.self) {
            try AgentEnvironment { [variables] in variables[$0] }
        }
        #expect(failure.message.contains("SYNMESH_BATCH"))
    }
}

@Test(
    "What may be absent may be empty too", arguments: ["SYNMESH_TOPIC_PROXIES", "SYNMESH_SETTINGS"])
func optionalVariables(name: String) throws {
    var variables = complete
    for value in [nil, ""] {
        variables[name] = value
        let variables = variables
        _ = try AgentEnvironment { variables[$0] }
    }
}

@Test(
    "A variable that is missing is named, and the program would exit with 3",
    arguments: [
        "SYNMESH_RUN", "SYNMESH_NAME", "SYNMESH_INCARNATION", "SYNMESH_CONTROL",
        "SYNMESH_CLOCK_OFFSET",
        "SYNMESH_SEED", "SYNMESH_HISTORY", "SYNMESH_KIND", "SYNMESH_TRANSPORT",
        "SYNMESH_BRANCH_ENDPOINT",
    ])
func missingVariable(name: String) throws {
    let failure = try #require(throws: AgentFailure.self) {
        try AgentEnvironment { $0 == name ? nil : complete[$0] }
    }
    #expect(failure.code == .environment && failure.code.rawValue == 3)
    #expect(failure.message.contains("\(name) is missing"))
}

@Test(
    "A variable that is malformed is named with its value",
    arguments: [
        ("SYNMESH_NAME", "a.b"), ("SYNMESH_INCARNATION", "0"), ("SYNMESH_INCARNATION", "one"),
        ("SYNMESH_CLOCK_OFFSET", "1.5"), ("SYNMESH_SEED", "-1"), ("SYNMESH_TRANSPORT", "tcp"),
        ("SYNMESH_TOPIC_PROXIES", "{}"), ("SYNMESH_TOPIC_PROXIES", #"[{"name":"t"}]"#),
        ("SYNMESH_SETTINGS", "[]"), ("SYNMESH_SETTINGS", "{"),
    ])
func malformedVariable(name: String, value: String) throws {
    let failure = try #require(throws: AgentFailure.self) {
        try AgentEnvironment { $0 == name ? value : complete[$0] }
    }
    #expect(failure.message.contains(name))
}

@Test("Everything that is missing is said at once")
func allAtOnce() throws {
    let failure = try #require(throws: AgentFailure.self) { try AgentEnvironment { _ in nil } }
    #expect(failure.message.split(separator: "\n").count { $0.contains("is missing") } == 10)
}

@Test("An agent on NATS needs a server and no branch")
func natsEnvironment() throws {
    var variables = complete
    variables["SYNMESH_TRANSPORT"] = "nats"
    variables["SYNMESH_BRANCH_ENDPOINT"] = nil
    let without = variables
    let failure = try #require(throws: AgentFailure.self) { try AgentEnvironment { without[$0] } }
    #expect(failure.message.contains("SYNMESH_NATS_URL is missing"))
    variables["SYNMESH_NATS_URL"] = "nats://127.0.0.1:4222"
    let with = variables
    #expect(try AgentEnvironment { with[$0] }.nats == "nats://127.0.0.1:4222")
}

@Test("A setting is a list or one name; a seed of the settings stands before the run's")
func settings() throws {
    let setup = AgentSetup(
        name: "a", kind: "probe", seed: 1, settings: ["to": "b", "topics": ["t.u"], "seed": 5])
    #expect(try setup.destinations() == [.agent("b"), .topic("t.u")])
    #expect(setup.seed == 5)
    #expect(try setup.integer("size", in: 0...9, or: 3) == 3)
    #expect(throws: AgentFailure.self) { try setup.integer("seed", in: 0...4, or: 3) }
    let wrong = AgentSetup(name: "a", kind: "probe", seed: 1, settings: ["to": [1]])
    #expect(throws: AgentFailure.self) { try wrong.destinations() }
}
