internal import Wire

/// Something that passed between the program under test and its mesh.
struct Seen: Sendable {
    /// Where it was seen.
    enum Place: Sendable, Hashable {
        /// On its way from the program to its branch, or to NATS.
        case fromProgram
        /// On its way from the branch to the program.
        case toProgram
        /// At a subscriber of all topics.
        case onTopic
    }

    let place: Place
    /// When, by the run's clock.
    let at: UInt64
    /// Frames of ZeroMQ as they were sent; of NATS subject and content.
    let frames: [[UInt8]]
    /// The envelope, or why it is none.
    let envelope: Result<Envelope, WireError>

    var content: Envelope? {
        guard case .success(let envelope) = envelope, envelope.kind == .content else { return nil }
        return envelope
    }
}

/// The checker's end of the mesh: speaks to the program under test and sees what it says.
protocol Line: Sendable {
    /// What was seen so far, in order.
    var seen: [Seen] { get }
    /// Sends an envelope to the program, the way that agents do.
    func send(_ envelope: Envelope) throws
    /// Publishes an envelope to its topic.
    func publish(_ envelope: Envelope) throws
    /// Gives the program bytes that no agent would send: two frames, or headers and content.
    func inject(header: [UInt8], content: [UInt8]) throws
    /// Gives the program an envelope past everything that would keep it.
    func hand(_ envelope: Envelope) throws
    /// Gives the program an envelope of a kind that there is not.
    func injectUnknownKind(_ envelope: Envelope) throws
    /// Ends it.
    func close()
}
