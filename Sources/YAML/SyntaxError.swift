/// What libyaml does not understand, in its words.
struct SyntaxError: Error {
    let problem: String
    let mark: Mark
    let context: String?
    let contextMark: Mark
}

extension SyntaxError {
    /// What is wrong.
    var phrase: String {
        for prefix in ["did not find ", "could not find "] where problem.hasPrefix(prefix) {
            return String(problem.dropFirst(prefix.count))
        }
        return problem
    }

    /// What to do about it; libyaml says what it was reading when it gave up.
    var help: String? {
        switch problem {
        case "mapping values are not allowed in this context":
            return "a text with ': ' in it needs quotes; otherwise check the indentation above"
        case "found character that cannot start any token":
            return "a text that starts with this character needs quotes"
        default: break
        }
        let line = contextMark.line
        switch context {
        case nil: return nil
        case "while parsing a flow sequence":
            return "it ends the list in brackets that starts on line \(line)"
        case "while parsing a flow mapping":
            return "it ends the mapping in braces that starts on line \(line)"
        case "while parsing a block mapping":
            return "the mapping that starts on line \(line) ends here: check the indentation"
        case "while parsing a block collection":
            return "the list that starts on line \(line) ends here: check the indentation"
        case "while scanning a simple key":
            return "a key is followed by ': '"
        case let context?: return "\(context) that starts on line \(line)"
        }
    }
}
