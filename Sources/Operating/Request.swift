public import JSON

/// What somebody asks of a mesh that runs.
public struct Request: Sendable, Hashable {
    /// The version of the messages, which is in each of them.
    public static let version: Int64 = 1

    /// What is asked for, such as `ps`.
    public let name: String
    /// With what.
    public let arguments: Value

    /// A request.
    public init(_ name: String, _ arguments: Value = [:]) {
        self.name = name
        self.arguments = arguments
    }
}

/// Why something that was asked for was not done.
public struct OperatingError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Why, for code.
    public enum Code: String, Sendable {
        /// Nobody answers there.
        case unreachable
        /// What came is no message of this protocol, or of another version.
        case malformed
        /// No such request.
        case unknownRequest = "unknown_request"
        /// The arguments name what there is not, or make no sense.
        case badArguments = "bad_arguments"
        /// It was tried and did not work.
        case failed
        /// There was no answer in time.
        case late
    }

    /// Why, for code.
    public let code: Code
    /// Why, for people.
    public let reason: String
    /// What to do about it, where that is known.
    public let remedy: String?

    /// An error from its parts.
    public init(_ code: Code, _ reason: String, remedy: String? = nil) {
        self.code = code
        self.reason = reason
        self.remedy = remedy
    }

    /// Reason and remedy.
    public var description: String { reason + (remedy.map { ". \($0)" } ?? "") }
}

/// The messages: one JSON object a line.
enum Message {
    /// A line may be so long, in either direction.
    static let lengthMax = 1 << 20

    /// A request as a line, such as `{"synmesh":1,"id":7,"request":"ps","arguments":{}}`.
    static func encode(_ request: Request, id: Int64) -> [UInt8] {
        line([
            "id": .integer(id), "request": .string(request.name), "arguments": request.arguments,
        ])
    }

    /// One of what a request yields: an item of several, or the end of it.
    enum Reply: Equatable {
        case item(Value)
        case result(Value)
        case failure(OperatingError)
    }

    static func encode(_ reply: Reply, id: Int64) -> [UInt8] {
        switch reply {
        case .item(let value): line(["id": .integer(id), "item": value])
        case .result(let value): line(["id": .integer(id), "result": value])
        case .failure(let error):
            line([
                "id": .integer(id),
                "error": [
                    "code": .string(error.code.rawValue), "reason": .string(error.reason),
                    "remedy": error.remedy.map(Value.string) ?? .null,
                ],
            ])
        }
    }

    static func request(_ bytes: [UInt8]) throws(OperatingError) -> (id: Int64, Request) {
        let members = try members(of: bytes)
        guard let id = members["id"]?.integer, let name = members["request"]?.string else {
            throw OperatingError(.malformed, "a request has an 'id' and a 'request'")
        }
        let arguments = members["arguments"] ?? [:]
        guard arguments.object != nil else {
            throw OperatingError(.malformed, "'arguments' is an object")
        }
        return (id, Request(name, arguments))
    }

    static func reply(_ bytes: [UInt8]) throws(OperatingError) -> (id: Int64, Reply) {
        let members = try members(of: bytes)
        guard let id = members["id"]?.integer else {
            throw OperatingError(.malformed, "a reply has an 'id'")
        }
        if let item = members["item"] { return (id, .item(item)) }
        if let result = members["result"] { return (id, .result(result)) }
        guard let error = members["error"] else {
            throw OperatingError(.malformed, "a reply has an item, a result or an error")
        }
        let code = error["code"]?.string.flatMap(OperatingError.Code.init(rawValue:)) ?? .failed
        return (
            id,
            .failure(
                OperatingError(
                    code, error["reason"]?.string ?? "no reason was given",
                    remedy: error["remedy"]?.string))
        )
    }

    private static func line(_ members: [String: Value]) -> [UInt8] {
        var members = members
        members["synmesh"] = .integer(Request.version)
        return Array(Value.object(members).canonical.utf8) + [UInt8(ascii: "\n")]
    }

    private static func members(of bytes: [UInt8]) throws(OperatingError) -> [String: Value] {
        let value: Value
        do throws(ParseError) {
            value = try Value(parsing: bytes)
        } catch {
            throw OperatingError(.malformed, "\(error)")
        }
        guard let members = value.object, let version = members["synmesh"]?.integer else {
            throw OperatingError(.malformed, "a message is an object with a member 'synmesh'")
        }
        guard version == Request.version else {
            throw OperatingError(
                .malformed, "version \(version) of the messages, known is \(Request.version)",
                remedy: "Use the same synmesh that started the mesh.")
        }
        return members
    }
}
