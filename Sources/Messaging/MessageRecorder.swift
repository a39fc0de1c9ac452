public import Recording
public import Wire

/// What a client tells of each envelope: before the transport sees it, and before it is handed out.
public protocol MessageRecorder: AnyObject {
    /// An envelope is about to leave, or to be handed out.
    func record(
        _ envelope: Envelope, _ direction: Direction, transport: String, lane: Lane
    ) throws(HistoryError)

    /// What the envelopes that follow this one in its flow have in common with it; nil where each
    /// is to be told whole.
    func strand(
        of envelope: Envelope, _ direction: Direction, transport: String, lane: Lane
    ) -> Strand?

    /// The same as an envelope's, of one of which all else is known; false where it is to be told
    /// whole.
    func record(
        _ content: UnsafeRawBufferPointer, sequence: UInt64, sent: UInt64, observed: UInt64?,
        on strand: Strand
    ) throws(HistoryError) -> Bool

    /// Something happened that no envelope tells.
    func annotate(_ annotation: Annotation) throws(HistoryError)
}

extension MessageRecorder {
    /// Each is told whole.
    public func strand(
        of envelope: Envelope, _ direction: Direction, transport: String, lane: Lane
    ) -> Strand? { nil }

    /// Each is told whole.
    public func record(
        _ content: UnsafeRawBufferPointer, sequence: UInt64, sent: UInt64, observed: UInt64?,
        on strand: Strand
    ) throws(HistoryError) -> Bool { false }
}

extension HistoryWriter: MessageRecorder {}
