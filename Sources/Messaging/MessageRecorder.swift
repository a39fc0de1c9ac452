public import Recording
public import Wire

/// What a client tells of each envelope: before the transport sees it, and before it is handed out.
public protocol MessageRecorder: AnyObject {
    /// An envelope is about to leave, or to be handed out.
    func record(
        _ envelope: Envelope, _ direction: Direction, transport: String, lane: Lane
    ) throws(HistoryError)

    /// Something happened that no envelope tells.
    func annotate(_ annotation: Annotation) throws(HistoryError)
}

extension HistoryWriter: MessageRecorder {}
