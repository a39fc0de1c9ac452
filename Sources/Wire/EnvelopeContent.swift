internal import Glibc

/// Keeps bytes where they are, for as long as somebody refers to it.
///
/// An envelope that was received in place has its content in the message of the library that
/// brought it; this is that message as far as an envelope is concerned.
///
/// Sendable by contract: who conforms promises that the bytes neither move nor change between its
/// making and its end, so that any thread may read them, and that any thread may let go of it last.
public protocol ContentOwner: AnyObject, Sendable {
    /// The bytes: always the same ones at the same place.
    var bytes: UnsafeRawBufferPointer { get }
}

/// Keeps an array's bytes where they are.
///
/// An array that is referred to from here is not the only reference to its storage for anybody
/// else: who changes his copy changes another storage.
public final class ArrayOwner: ContentOwner {
    private let array: [UInt8]

    /// Refers to the array's storage: no copy.
    public init(_ array: [UInt8]) { self.array = array }

    /// The array's bytes: one block on the heap (Linux has no bridged arrays), which lives as long
    /// as `array` refers to it, and which nothing moves.
    public var bytes: UnsafeRawBufferPointer {
        array.withUnsafeBufferPointer { UnsafeRawBufferPointer($0) }
    }
}

extension Envelope {
    /// Where the content is.
    @usableFromInline enum Storage: Sendable {
        case array([UInt8])
        case owned(any ContentOwner)
    }

    /// Makes an envelope whose content stays where its owner keeps it.
    public init(
        identity: Identity, kind: Kind = .content, type: String, sent: UInt64,
        cause: Identity? = nil, hops: UInt8 = 0, contentEncoding: ContentEncoding = .binary,
        keeping owner: any ContentOwner
    ) {
        self.init(
            identity: identity, kind: kind, type: type, sent: sent, cause: cause, hops: hops,
            contentEncoding: contentEncoding)
        storage = .owned(owner)
    }

    /// The same envelope, whose content stays where its owner keeps it.
    public func keeping(_ owner: any ContentOwner) -> Envelope {
        var envelope = self
        envelope.storage = .owned(owner)
        return envelope
    }

    /// The content, exactly as it was given to the sender.
    ///
    /// A copy where the content was received in place: who only looks uses `withContent`.
    public var content: [UInt8] {
        get {
            switch storage {
            case .array(let array): array
            case .owned(let owner): withExtendedLifetime(owner) { [UInt8](owner.bytes) }
            }
        }
        set { storage = .array(newValue) }
    }

    /// The content's length in bytes.
    @inlinable public var contentSize: Int {
        switch storage {
        case .array(let array): array.count
        case .owned(let owner): owner.bytes.count
        }
    }

    /// The content's bytes where they are: never a copy.
    ///
    /// - Parameter body: Gets the bytes, which are there only while it runs.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws.
    @inlinable public func withContent<Result, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        switch storage {
        case .array(let array):
            return try array.withUnsafeBufferPointer { bytes throws(Failure) in
                try body(UnsafeRawBufferPointer(bytes))
            }
        case .owned(let owner):
            defer { withExtendedLifetime(owner) {} }
            return try body(owner.bytes)
        }
    }

    /// The content as a span, which the compiler keeps from outliving the call.
    ///
    /// - Parameter body: Gets the bytes.
    /// - Returns: What `body` returns.
    /// - Throws: What `body` throws.
    public func withContentSpan<Result, Failure: Error>(
        _ body: (RawSpan) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try withContent { bytes throws(Failure) in try body(bytes.bytes) }
    }

    /// Replaces the content by one that stays where its owner keeps it.
    public mutating func keep(_ owner: any ContentOwner) { storage = .owned(owner) }

    /// Somebody who keeps the content where it is, without a copy.
    public var contentOwner: any ContentOwner {
        switch storage {
        case .array(let array): ArrayOwner(array)
        case .owned(let owner): owner
        }
    }
}

/// Equal where the bytes are, wherever they are.
extension Envelope.Storage: Hashable {
    private func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        switch self {
        case .array(let array): array.withUnsafeBytes(body)
        case .owned(let owner): withExtendedLifetime(owner) { body(owner.bytes) }
        }
    }

    @usableFromInline static func == (one: Envelope.Storage, other: Envelope.Storage) -> Bool {
        one.withBytes { one in
            other.withBytes { other in
                guard one.count == other.count else { return false }
                guard let first = one.baseAddress, let second = other.baseAddress else {
                    return true
                }
                return first == second || memcmp(first, second, one.count) == 0
            }
        }
    }

    @usableFromInline func hash(into hasher: inout Hasher) {
        withBytes { bytes in
            hasher.combine(bytes.count)
            hasher.combine(bytes: bytes)
        }
    }
}
