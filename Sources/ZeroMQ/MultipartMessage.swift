internal import CZMQ

/// One message in libzmq's own buffers: received, looked at and sent on without a copy.
///
/// A proxy that only passes messages on needs one of these for its whole life. Receiving replaces
/// what it held, sending takes the frames out of it.
///
/// ```swift
/// var message = MultipartMessage()
/// while try router.receive(into: &message) {
///     guard message.frameCount == 4 else { continue }
///     _ = try router.send(&message, frames: 1..<4)
/// }
/// ```
public struct MultipartMessage: ~Copyable {
    /// Frames beyond this many are counted, and not kept.
    public static let framesKept = 8

    // A `zmq_msg_t` may not move, so they live on the heap, each always initialised.
    let storage: UnsafeMutablePointer<zmq_msg_t>
    /// How many frames the message had that was received last.
    public fileprivate(set) var frameCount = 0

    /// A message of no frames.
    public init() {
        storage = .allocate(capacity: Self.framesKept)
        storage.initialize(repeating: zmq_msg_t(), count: Self.framesKept)
        for index in 0..<Self.framesKept { zmq_msg_init(storage + index) }
    }

    deinit {
        for index in 0..<Self.framesKept { zmq_msg_close(storage + index) }
        storage.deallocate()
    }

    /// A frame's bytes in place.
    ///
    /// - Precondition: `index` is below `frameCount` and below `framesKept`.
    /// - Parameters:
    ///   - index: Which frame.
    ///   - body: Gets the bytes, which end with the call.
    /// - Returns: What `body` returns.
    @inlinable @inline(__always)
    public borrowing func withFrame<Result>(
        _ index: Int, _ body: (UnsafeRawBufferPointer) -> Result
    ) -> Result {
        body(bytes(ofFrame: index))
    }

    /// A frame's bytes, which are there until the message is received into, or sent, or ends.
    @usableFromInline borrowing func bytes(ofFrame index: Int) -> UnsafeRawBufferPointer {
        precondition(index < frameCount && index < Self.framesKept, "there is no such frame")
        let frame = storage + index
        return UnsafeRawBufferPointer(start: zmq_msg_data(frame), count: zmq_msg_size(frame))
    }

    /// The length of a frame in bytes.
    public borrowing func byteCount(ofFrame index: Int) -> Int {
        precondition(index < frameCount && index < Self.framesKept, "there is no such frame")
        return zmq_msg_size(storage + index)
    }

    /// Which connection of its socket the message came by; nil where libzmq does not know.
    public borrowing func connection() -> Int32? {
        guard frameCount > 0 else { return nil }
        let last = min(frameCount, Self.framesKept) - 1
        let number = zmq_msg_get(storage + last, ZMQ_SRCFD)
        return number < 0 ? nil : number
    }

    /// The frames that were kept, copied.
    public borrowing func copyFrames() -> [[UInt8]] {
        (0..<min(frameCount, Self.framesKept)).map { index in
            withFrame(index) { [UInt8]($0) }
        }
    }
}

@available(*, unavailable, message: "it belongs to the thread of its socket")
extension MultipartMessage: Sendable {}

extension Socket {
    /// Receives one message in place, if one is there.
    ///
    /// - Parameter message: Holds the message afterwards; what it held before is gone.
    /// - Returns: Whether one was there.
    /// - Throws: `ZeroMQError`.
    public mutating func receive(into message: inout MultipartMessage) throws(ZeroMQError) -> Bool {
        message.frameCount = 0
        while true {
            // What exceeds the frames that are kept replaces the last one.
            let frame = message.storage + min(message.frameCount, MultipartMessage.framesKept - 1)
            if zmq_msg_recv(frame, handle, ZMQ_DONTWAIT) == -1 {
                let error = ZeroMQError.last(.receive)
                if error.code == .interrupted { continue }
                guard error.code == .wouldBlock else { throw error }
                assert(message.frameCount == 0, "libzmq delivered half a message")
                return false
            }
            message.frameCount += 1
            if zmq_msg_more(frame) == 0 { return true }
        }
    }

    /// Sends some of a message's frames without a copy; they arrive together or not at all.
    ///
    /// - Precondition: `frames` is not empty and within the frames that were kept.
    /// - Parameters:
    ///   - message: Loses the frames where they were sent, and keeps them where not even the first
    ///     was taken.
    ///   - frames: Which frames.
    /// - Returns: Whether libzmq has them, and if not, why. A peer that goes away between two frames
    ///   takes the message with it, as it takes what is in its pipe: that is `.sent`.
    /// - Throws: `ZeroMQError` for anything but a lack of room or of a peer.
    public mutating func send(
        _ message: inout MultipartMessage, frames: Range<Int>
    ) throws(ZeroMQError) -> SendResult {
        precondition(
            !frames.isEmpty
                && frames.upperBound <= min(message.frameCount, MultipartMessage.framesKept),
            "a message has at least one frame")
        var index = frames.lowerBound
        while index < frames.upperBound {
            let flags = index < frames.upperBound - 1 ? ZMQ_SNDMORE | ZMQ_DONTWAIT : ZMQ_DONTWAIT
            if zmq_msg_send(message.storage + index, handle, flags) == -1 {
                let error = ZeroMQError.last(.send)
                let isFirst = index == frames.lowerBound
                switch error.code {
                case .interrupted: continue
                case .wouldBlock where isFirst: return .wouldBlock
                case .unreachable where isFirst: return .unreachable
                // libzmq must be given the rest, which it drops: it would drop the next message.
                case .wouldBlock: break
                default: throw error
                }
            }
            index += 1
        }
        return .sent
    }
}
