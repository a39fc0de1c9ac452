internal import CZMQ

/// A frame that stays where libzmq received it, for as long as somebody refers to it.
///
/// Letting go of the last reference gives the memory back to libzmq, on whichever thread that is.
public final class MessageFrame {
    // A `zmq_msg_t` may not move: short contents lie inside of it.
    private let message: UnsafeMutablePointer<zmq_msg_t>

    /// Takes a frame's content over; the frame is empty afterwards.
    fileprivate init(taking frame: UnsafeMutablePointer<zmq_msg_t>) {
        message = .allocate(capacity: 1)
        message.initialize(to: zmq_msg_t())
        zmq_msg_init(message)
        zmq_msg_move(message, frame)
    }

    deinit {
        zmq_msg_close(message)
        message.deallocate()
    }

    /// The bytes, at the same place as long as this object lives.
    public var bytes: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: zmq_msg_data(message), count: zmq_msg_size(message))
    }
}

// After `init` nobody writes: `zmq_msg_data` and `zmq_msg_size` only read a message that is not a
// command, and libzmq counts the references to a content that several messages share atomically.
// `zmq_msg_close` runs once, when there is no other reference to the object, and the last release
// of a Swift object sees everything that happened before the other releases.
extension MessageFrame: @unchecked Sendable {}

extension MultipartMessage {
    /// Takes a frame out of the message, without a copy; an empty one is left in its place.
    ///
    /// - Precondition: `index` is below `frameCount` and below `framesKept`.
    public mutating func take(_ index: Int) -> MessageFrame {
        precondition(index < frameCount && index < Self.framesKept, "there is no such frame")
        return MessageFrame(taking: storage + index)
    }
}

/// Bytes that are sent where they are: libzmq refers to their owner until it is done with them.
public struct KeptBytes {
    let owner: AnyObject
    let bytes: UnsafeRawBufferPointer

    /// Names the bytes and who keeps them.
    ///
    /// - Parameters:
    ///   - bytes: Neither move nor change while `owner` lives.
    ///   - owner: Is let go of by a thread of libzmq: `Sendable`, as the compiler then makes sure.
    public init(_ bytes: UnsafeRawBufferPointer, keptBy owner: any AnyObject & Sendable) {
        self.owner = owner
        self.bytes = bytes
    }
}

/// What libzmq calls when it is done with bytes that it was lent, on whichever thread that is.
///
/// At file scope: a closure would take on the isolation of where it is written, and trap on a
/// thread of libzmq.
private func letGo(_ bytes: UnsafeMutableRawPointer?, _ owner: UnsafeMutableRawPointer?) {
    guard let owner else { return }
    Unmanaged<AnyObject>.fromOpaque(owner).release()
}

extension Socket {
    /// Sends one message whose last frame is not copied; all frames arrive together or not at all.
    ///
    /// - Parameters:
    ///   - frames: What comes before, copied.
    ///   - content: The last frame.
    ///   - wait: Wait for room, as long as the option `sendTimeout` says.
    /// - Returns: Whether it was sent, and if not, why.
    /// - Throws: `ZeroMQError` for anything but a lack of room or of a peer.
    public mutating func send(
        _ frames: [[UInt8]], keeping content: KeptBytes, wait: Bool = false
    ) throws(ZeroMQError) -> SendResult {
        let flags = wait ? 0 : ZMQ_DONTWAIT
        var isDropped = false
        for (index, frame) in frames.enumerated() {
            let isSent = try offered(isFirst: index == 0) {
                frame.withUnsafeBytes {
                    zmq_send(handle, $0.baseAddress, $0.count, ZMQ_SNDMORE | flags)
                }
            }
            switch isSent {
            case .sent: continue
            case .wouldBlock where index > 0: isDropped = true
            case .wouldBlock, .unreachable: return isSent
            }
        }
        var storage = zmq_msg_t()
        // A `zmq_msg_t` may not move between init and close, so its whole life is this closure.
        let result = try withUnsafeMutablePointer(to: &storage) {
            message throws(ZeroMQError) -> SendResult in
            let owner = Unmanaged.passRetained(content.owner)
            // libzmq does not write to what it sends; its interface is older than `const`.
            let start = UnsafeMutableRawPointer(mutating: content.bytes.baseAddress)
            guard
                zmq_msg_init_data(message, start, content.bytes.count, letGo, owner.toOpaque())
                    == 0
            else {
                owner.release()
                throw ZeroMQError.last(.send)
            }
            // Where libzmq did not take it, this lets go of the owner again.
            defer { zmq_msg_close(message) }
            return try offered(isFirst: frames.isEmpty) { zmq_msg_send(message, handle, flags) }
        }
        return isDropped ? .wouldBlock : result
    }

    /// Gives libzmq one frame.
    ///
    /// No room beyond the first frame means that the peer went away in the middle. libzmq has
    /// forgotten the frames before, and drops what follows up to the last of the message: it must
    /// be given those, or it would drop the next message instead.
    private borrowing func offered(
        isFirst: Bool, _ call: () -> CInt
    ) throws(ZeroMQError) -> SendResult {
        do throws(ZeroMQError) {
            try retrying(.send, call)
            return .sent
        } catch let error where error.code == .wouldBlock {
            return .wouldBlock
        } catch let error where error.code == .unreachable && isFirst {
            return .unreachable
        }
    }
}
