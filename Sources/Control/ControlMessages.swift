public import JSON

/// Which process of the mesh: what it is, its name, and how often it was started.
public struct ChildID: Hashable, Sendable, CustomStringConvertible {
    /// `agent`, `branch` or `topics`.
    public let role: String
    /// Its name in the topology.
    public let name: String
    /// Raised each time it is started; the first start is 1.
    public let incarnation: UInt32

    /// Names a process.
    public init(role: String, name: String, incarnation: UInt32) {
        self.role = role
        self.name = name
        self.incarnation = incarnation
    }

    /// The routing id of its control socket, `role:name:incarnation`.
    public var routingID: String { "\(role):\(name):\(incarnation)" }

    /// Reads what `routingID` wrote.
    public init?(routingID: String) {
        let parts = routingID.split(separator: ":", omittingEmptySubsequences: false)
        guard parts.count == 3, !parts[0].isEmpty, !parts[1].isEmpty,
            let incarnation = UInt32(parts[2])
        else { return nil }
        self.init(role: String(parts[0]), name: String(parts[1]), incarnation: incarnation)
    }

    /// `role name (incarnation n)`.
    public var description: String { "\(role) \(name) (incarnation \(incarnation))" }
}

/// What a child says once it can be used.
public struct Ready: Hashable, Sendable {
    /// Who is ready.
    public let child: ChildID
    /// Its process.
    public let pid: Int32
    /// Where it is reached, such as `router`, `publish` or `subscribe`.
    public let endpoints: [String: String]

    /// Makes a ready message.
    public init(child: ChildID, pid: Int32, endpoints: [String: String]) {
        self.child = child
        self.pid = pid
        self.endpoints = endpoints
    }
}

/// What the orchestrator wants a child to do.
public struct Command: Hashable, Sendable {
    /// Names the command in its answer.
    public let id: UInt64
    /// What to do, such as `load`.
    public let name: String
    /// With what.
    public let arguments: Value

    /// Makes a command.
    public init(id: UInt64, name: String, arguments: Value) {
        self.id = id
        self.name = name
        self.arguments = arguments
    }
}

/// What a child said that nobody waits for.
public enum ControlEvent: Hashable, Sendable {
    /// A child became ready.
    case ready(Ready)
    /// Something happened in a child.
    case event(ChildID, name: String, fields: [String: Value])
    /// An answer came after its command was given up.
    case late(ChildID, id: UInt64)
    /// A message could not be read; it was counted and thrown away.
    case malformed(sender: String, reason: String)
}

/// A message from a child.
enum ChildMessage: Hashable {
    case ready(name: String, role: String, incarnation: UInt32, pid: Int32, [String: String])
    case answer(id: UInt64, Result<Value, Refusal>)
    case event(name: String, fields: [String: Value])

    /// Why a child did not do what it was told.
    struct Refusal: Error, Hashable {
        let reason: String
    }
}

/// The codec of both directions: one JSON object a message, versioned by its member `control`.
enum ControlCodec {
    static let version: Int64 = 1
    /// Larger messages are malformed: the control plane carries no content.
    static let messageLengthMax = 64 << 20

    static func encode(_ message: ChildMessage) -> [UInt8] {
        switch message {
        case .ready(let name, let role, let incarnation, let pid, let endpoints):
            bytes([
                "kind": "ready", "name": .string(name), "role": .string(role),
                "incarnation": Value(incarnation), "pid": Value(pid),
                "endpoints": .object(endpoints.mapValues { .string($0) }),
            ])
        case .answer(let id, .success(let result)):
            bytes(["kind": "answer", "id": Value(id), "ok": true, "result": result])
        case .answer(let id, .failure(let refusal)):
            bytes([
                "kind": "answer", "id": Value(id), "ok": false, "error": .string(refusal.reason),
            ])
        case .event(let name, let fields):
            bytes(
                ["kind": "event", "event": .string(name)].merging(fields) { reserved, _ in reserved
                })
        }
    }

    static func encode(_ command: Command) -> [UInt8] {
        bytes([
            "kind": "command", "id": Value(command.id), "command": .string(command.name),
            "arguments": command.arguments,
        ])
    }

    private static func bytes(_ members: [String: Value]) -> [UInt8] {
        var members = members
        members["control"] = .integer(version)
        return Array(Value.object(members).canonical.utf8)
    }

    static func childMessage(_ bytes: [UInt8]) throws(ControlError) -> ChildMessage {
        let (kind, members) = try read(bytes)
        switch kind {
        case "ready":
            return .ready(
                name: try text("name", members), role: try text("role", members),
                incarnation: try number("incarnation", members),
                pid: try number("pid", members),
                (members["endpoints"]?.object ?? [:]).compactMapValues(\.string))
        case "answer":
            let id: UInt64 = try number("id", members)
            switch members["ok"]?.bool {
            case true: return .answer(id: id, .success(members["result"] ?? .null))
            case false:
                return .answer(id: id, .failure(.init(reason: try text("error", members))))
            default: throw .malformed("the member 'ok' is missing")
            }
        case "event":
            let name = try text("event", members)
            let fields = members.filter { !["control", "kind", "event"].contains($0.key) }
            return .event(name: name, fields: fields)
        default: throw .malformed("unknown kind '\(kind.prefix(40))'")
        }
    }

    static func command(_ bytes: [UInt8]) throws(ControlError) -> Command {
        let (kind, members) = try read(bytes)
        guard kind == "command" else { throw .malformed("unknown kind '\(kind.prefix(40))'") }
        return Command(
            id: try number("id", members), name: try text("command", members),
            arguments: members["arguments"] ?? .object([:]))
    }

    private static func read(
        _ bytes: [UInt8]
    ) throws(ControlError) -> (kind: String, members: [String: Value]) {
        guard bytes.count <= messageLengthMax else { throw .malformed("\(bytes.count) bytes") }
        let value: Value
        do throws(ParseError) {
            value = try Value(parsing: bytes)
        } catch {
            throw .malformed(error.description)
        }
        guard let members = value.object else { throw .malformed("not an object") }
        guard let version = members["control"]?.integer else {
            throw .malformed("the member 'control' is missing")
        }
        guard version == Self.version else {
            throw .malformed("version \(version), known is \(Self.version)")
        }
        return (try text("kind", members), members)
    }

    private static func text(
        _ name: String, _ members: [String: Value]
    ) throws(ControlError) -> String {
        guard let text = members[name]?.string else {
            throw .malformed("the member '\(name)' is missing or no text")
        }
        return text
    }

    private static func number<Number: FixedWidthInteger>(
        _ name: String, _ members: [String: Value]
    ) throws(ControlError) -> Number {
        guard let integer = members[name]?.integer, let number = Number(exactly: integer) else {
            throw .malformed("the member '\(name)' is missing or out of range")
        }
        return number
    }
}
