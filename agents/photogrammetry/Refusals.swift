import AgentRuntime
import JSON
import Messaging
import PointClouds
import Wire

/// Why a cloud was not used, for the person who looks at the result.
struct Refusal: Error {
    let reason: String
}

/// Clouds that an agent could not use: counted, the first ones named, and their senders told.
struct Refusals {
    /// The type of the messages that say why a content is no cloud, or not one to be used.
    static let type = "cloud_refusal"
    /// Of more than this only the number is kept.
    private static let namedMax = 100

    private var named: [Value] = []
    private var count: Int64 = 0

    mutating func refuse(
        _ envelope: Envelope, _ reason: String, _ outbox: Outbox
    ) throws(MessagingError) {
        count += 1
        if named.count < Refusals.namedMax {
            outbox.log("\(envelope.identity): \(reason)")
            named.append([
                "identity": .string(envelope.identity.description), "reason": .string(reason),
            ])
        }
        let content: Value = ["error": .string(reason)]
        try outbox.send(
            to: .agent(envelope.source), type: Refusals.type,
            content: Array(content.canonical.utf8), encoding: .json, cause: envelope.identity)
    }

    /// What belongs into the agent's result and state.
    var members: [String: Value] {
        ["malformed": .array(named), "malformed_count": .integer(count)]
    }

    mutating func restore(_ state: Value) {
        named = state["malformed"]?.array ?? []
        count = state["malformed_count"]?.integer ?? 0
    }
}

/// Reads a content, and does something with it while it is there.
func reading<Result>(
    _ bytes: UnsafeRawBufferPointer, _ body: (CloudContent) throws -> Result
) -> Swift.Result<Result, Refusal> {
    do {
        return .success(try body(try CloudContent(bytes)))
    } catch let refusal as Refusal {
        return .failure(refusal)
    } catch {
        return .failure(Refusal(reason: "\(error)"))
    }
}
