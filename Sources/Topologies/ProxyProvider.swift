public import YAML

/// Whose proxy serves a branch or topics.
public enum ProxyProvider: Sendable, Hashable {
    /// Ours.
    case own
    /// The user's, started by the run: a program and its arguments.
    case command([String])
    /// The user's, which runs already.
    case running

    /// Whether it is the user's.
    public var isForeign: Bool { self != .own }

    /// The words of the command with what stands in braces replaced, such as `{endpoint}`.
    ///
    /// - Parameter values: What each name in braces stands for.
    /// - Returns: The words; none where there is no command.
    public func words(_ values: [String: String]) -> [String] {
        guard case .command(let words) = self else { return [] }
        return words.map { word in
            values.reduce(word) { text, value in
                Self.replacing("{\(value.key)}", in: text, with: value.value)
            }
        }
    }

    private static func replacing(_ old: String, in text: String, with new: String) -> String {
        var result = ""
        var rest = text[...]
        while let start = rest.indices.first(where: { rest[$0...].hasPrefix(old) }) {
            result += rest[..<start] + new
            rest = rest[start...].dropFirst(old.count)
        }
        return result + rest
    }
}

extension Branch {
    /// The process of ours that has the branch's registry: its proxy, or the bridge beside it.
    public var nodeName: String { provider.isForeign ? name + "-bridge" : name }
}

extension TopicProxy {
    /// The process of ours that keeps what moving subscribers are to get: the proxy, or the one
    /// beside it.
    public var nodeName: String { provider.isForeign ? name + "-bridge" : name }
}

/// Something that no run of a topology can see or prove, and why.
public struct BlindSpot: Sendable, Hashable {
    /// What it is, in a sentence.
    public let text: String
    /// Where the file declares what it comes from.
    public let location: Location
}
