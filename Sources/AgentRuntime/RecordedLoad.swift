internal import JSON
internal import Messaging
internal import Recording
internal import Wire

/// What an agent of this name sent once, sent again.
///
/// `{"recording": [PATH, …], "origin_ns": "…", "speed": 1}` beside `count` and `start`: the histories, when
/// the recording began, and how much faster than then; without `speed` as fast as there is room.
final class RecordedLoad: Load {
    /// Each message has a destination of its own; the runtime asks once for each.
    let destinations = [Address.agent("recording")]

    private struct Message {
        let destination: Address
        let type: String
        let encoding: Envelope.ContentEncoding
        let content: [UInt8]
        /// Nanoseconds from the first message of this load.
        let offset: UInt64
    }

    private let source: String
    private let speed: Double?
    private var cursor: MergedCursor
    /// Kinds of records that are the agent's own sending; nil where that is not known yet.
    private var isMeant: [Bool] = []
    private var next: Message?
    /// When the load's first message was sent, beside the beginning of the recording.
    private var first: UInt64?
    private let origin: UInt64

    /// Opens a recording; nil where the order names none.
    ///
    /// - Throws: `LoadError` where it cannot be read.
    init?(_ order: LoadOrder, source: String) throws(LoadError) {
        guard let value = order.arguments["recording"], value != .null else { return nil }
        guard let paths = value.array?.compactMap(\.string), !paths.isEmpty else {
            throw LoadError("'recording' is \(value.canonical), not a list of histories")
        }
        guard let text = order.arguments["origin_ns"]?.string, let origin = UInt64(text) else {
            throw LoadError("'origin_ns' is missing: when the recording began")
        }
        speed = order.arguments["speed"]?.double.flatMap { $0 > 0 ? $0 : nil }
        self.source = source
        self.origin = origin
        do throws(HistoryError) {
            cursor = try MergedCursor(paths: paths)
            // A load that goes on begins behind what was sent.
            for _ in 0..<order.start { _ = try step() }
            next = try step()
        } catch {
            throw LoadError(error.description)
        }
        // From the beginning of the recording where the load begins with it, so that agents keep their
        // distances; else from its own first message.
        if order.start == 0 { first = 0 }
    }

    /// When a message is due, in nanoseconds from the beginning of the load; nil at once.
    var offset: UInt64? {
        guard let speed, let next else { return nil }
        let start = first ?? next.offset
        return UInt64(Double(next.offset - min(start, next.offset)) / speed)
    }

    /// Sends the next message to where it went.
    func send(
        _ index: Int, to destination: Address, _ outbox: Outbox
    ) throws(MessagingError) {
        // Counted as not sent: a load that sends less than it says must not look complete.
        guard let message = next else {
            throw MessagingError(
                .send(destination, type: "message"),
                .malformedState("the recording has no message \(index + 1)"))
        }
        if first == nil { first = message.offset }
        // Whether it can be sent or not: the one behind it is another.
        defer { advance() }
        try outbox.send(
            to: message.destination, type: message.type, content: message.content,
            encoding: message.encoding)
    }

    private func advance() {
        // What a history that ends early no longer holds fails when it is due.
        next = try? step()
    }

    private func step() throws(HistoryError) -> Message? {
        while let item = try cursor.next() {
            guard case .record(let record) = item else { continue }
            if record.kind >= isMeant.count {
                isMeant = cursor.kinds.map { kind in
                    kind.flow.source == source && kind.direction == .sent && kind.lane == .primary
                }
            }
            guard isMeant[record.kind], case .bytes(let content) = record.view.content else {
                continue
            }
            let kind = cursor.kinds[record.kind]
            return Message(
                destination: kind.flow.destination, type: kind.type,
                encoding: kind.contentEncoding, content: content,
                offset: record.view.sent - min(origin, record.view.sent))
        }
        return nil
    }
}
