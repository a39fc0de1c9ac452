import JSON
import Testing

@testable import Control

@Suite("Control messages")
struct CodecTests {
    @Test(
        "A child's message survives the way through bytes",
        arguments: [
            ChildMessage.ready(
                name: "capture", role: "agent", incarnation: 3, pid: 17, ["router": "tcp://x"]),
            .answer(id: 9, .success(["sent": 4])),
            .answer(id: 9, .failure(.init(reason: "no"))),
            .event(name: "malformed", fields: ["count": 2]),
        ])
    func roundTrip(message: ChildMessage) throws {
        #expect(try ControlCodec.childMessage(ControlCodec.encode(message)) == message)
    }

    @Test("A command survives the way through bytes")
    func commandRoundTrip() throws {
        let command = Command(id: 5, name: "load", arguments: ["count": 10])
        #expect(try ControlCodec.command(ControlCodec.encode(command)) == command)
    }

    @Test("A field of an event never replaces what makes it an event")
    func reservedFields() throws {
        let bytes = ControlCodec.encode(.event(name: "x", fields: ["kind": "ready", "event": "y"]))
        #expect(try ControlCodec.childMessage(bytes) == .event(name: "x", fields: [:]))
    }

    @Test(
        "What is no control message says why",
        arguments: [
            ("", "the text ends"), ("[]", "not an object"), ("{}", "'control' is missing"),
            (#"{"control":2,"kind":"ready"}"#, "version 2"),
            (#"{"control":1}"#, "'kind' is missing"),
            (#"{"control":1,"kind":"what"}"#, "unknown kind"),
            (#"{"control":1,"kind":"answer","id":-1,"ok":true}"#, "out of range"),
            (#"{"control":1,"kind":"answer","id":1}"#, "'ok' is missing"),
            (#"{"control":1,"kind":"ready","name":"a","role":"b"}"#, "incarnation"),
        ])
    func malformed(text: String, reason: String) {
        let error = #expect(throws: ControlError.self) {
            try ControlCodec.childMessage(Array(text.utf8))
        }
        #expect(error?.description.contains(reason) == true)
    }

    @Test(
        "Only role, name and incarnation make a routing id",
        arguments: ["", "a", "a:b", "a:b:c", ":b:1", "a::1", "a:b:1:2", "a:b:-1"])
    func routingIDs(text: String) {
        #expect(ChildID(routingID: text) == nil)
        let child = ChildID(role: "agent", name: "capture", incarnation: 2)
        #expect(ChildID(routingID: child.routingID) == child)
    }
}
