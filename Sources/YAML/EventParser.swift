internal import CYAML

/// What libyaml sees next in a text.
struct Event {
    enum Kind {
        case documentStart
        case documentEnd
        case streamEnd
        case alias(String)
        case scalar(text: String, isPlain: Bool, properties: Properties)
        case sequenceStart(Properties)
        case mappingStart(Properties)
        case collectionEnd
    }

    /// What may stand in front of a node.
    struct Properties {
        let anchor: String?
        let tag: String?
    }

    let kind: Kind
    /// Lines and columns counted from 1, columns in Unicode scalars.
    let start: Mark
    let end: Mark
}

/// A position as libyaml counts it, but from 1.
struct Mark {
    let line: Int
    let column: Int

    init(_ mark: yaml_mark_t) {
        line = mark.line + 1
        column = mark.column + 1
    }
}

/// libyaml's event parser over a text that outlives it.
///
/// libyaml keeps the pointer that it is given, so a parser lives inside
/// `withUnsafeBufferPointer`.
struct EventParser: ~Copyable {
    private let parser: UnsafeMutablePointer<yaml_parser_t>

    init(_ text: UnsafeBufferPointer<UInt8>) {
        // On the heap: libyaml holds addresses inside the parser.
        parser = .allocate(capacity: 1)
        parser.initialize(to: yaml_parser_t())
        // Fails only where memory is at an end, and then Swift ends the process anyhow.
        precondition(yaml_parser_initialize(parser) == 1, "no memory for a YAML parser")
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, text.baseAddress, text.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deinitialize(count: 1)
        parser.deallocate()
    }

    /// The next event that means something; none follow `streamEnd` or an error.
    mutating func next() throws(SyntaxError) -> Event {
        while true {
            var event = yaml_event_t()
            guard yaml_parser_parse(parser, &event) == 1 else { throw syntaxError }
            defer { yaml_event_delete(&event) }
            guard let kind = Event.Kind(event) else { continue }
            return Event(kind: kind, start: Mark(event.start_mark), end: Mark(event.end_mark))
        }
    }

    private var syntaxError: SyntaxError {
        let state = parser.pointee
        return SyntaxError(
            problem: state.problem.map { String(cString: $0) } ?? "this is not YAML",
            mark: Mark(state.problem_mark),
            context: state.context.map { String(cString: $0) },
            contextMark: Mark(state.context_mark))
    }
}

extension Event.Kind {
    /// Copies out of an event that libyaml owns; `nil` for those that carry nothing.
    fileprivate init?(_ event: yaml_event_t) {
        switch event.type {
        case YAML_DOCUMENT_START_EVENT: self = .documentStart
        case YAML_DOCUMENT_END_EVENT: self = .documentEnd
        case YAML_STREAM_END_EVENT: self = .streamEnd
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT: self = .collectionEnd
        case YAML_ALIAS_EVENT: self = .alias(Self.text(event.data.alias.anchor) ?? "")
        case YAML_SCALAR_EVENT:
            let scalar = event.data.scalar
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            self = .scalar(
                text: String(decoding: bytes, as: UTF8.self),
                isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE,
                properties: .init(
                    anchor: Self.text(scalar.anchor), tag: Self.text(scalar.tag)))
        case YAML_SEQUENCE_START_EVENT:
            let sequence = event.data.sequence_start
            self = .sequenceStart(
                .init(anchor: Self.text(sequence.anchor), tag: Self.text(sequence.tag)))
        case YAML_MAPPING_START_EVENT:
            let mapping = event.data.mapping_start
            self = .mappingStart(
                .init(anchor: Self.text(mapping.anchor), tag: Self.text(mapping.tag)))
        default: return nil
        }
    }

    private static func text(_ pointer: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        pointer.map { String(cString: $0) }
    }
}
