import Testing
import Wire

/// Bytes on the heap that tell when nobody refers to them any more.
private final class HeapBytes: ContentOwner {
    // Written in `init` only, before anybody else has the object.
    nonisolated(unsafe) let bytes: UnsafeRawBufferPointer

    init(_ content: [UInt8]) {
        let copy = UnsafeMutableRawBufferPointer.allocate(
            byteCount: content.count, alignment: 1)
        copy.copyBytes(from: content)
        bytes = UnsafeRawBufferPointer(copy)
    }

    deinit { bytes.deallocate() }
}

@Suite struct EnvelopeContentTests {
    static let identity = Identity(
        flow: Flow(source: "camera-1", destination: .agent("mesh")), incarnation: 1, sequence: 1)

    static func inArray(_ content: [UInt8]) -> Envelope {
        Envelope(identity: identity, type: "t", sent: 1, content: content)
    }

    static func inPlace(_ content: [UInt8]) -> Envelope {
        Envelope(identity: identity, type: "t", sent: 1, keeping: HeapBytes(content))
    }

    @Test(
        "where the content is makes no difference to what the envelope is",
        arguments: [[], [7], Array(0...255)] as [[UInt8]])
    func same(content: [UInt8]) {
        let (array, place) = (Self.inArray(content), Self.inPlace(content))
        #expect(array == place)
        #expect(array.hashValue == place.hashValue)
        #expect(Set([array, place]).count == 1)
        for envelope in [array, place] {
            #expect(envelope.contentSize == content.count)
            #expect(envelope.content == content)
            #expect(envelope.withContent { [UInt8]($0) } == content)
            #expect(envelope.withContentSpan { $0.byteCount } == content.count)
        }
    }

    @Test("one byte makes a difference, wherever the content is")
    func different() {
        for one in [Self.inArray([1, 2, 3]), Self.inPlace([1, 2, 3])] {
            for other in [[1, 2, 4], [1, 2], [1, 2, 3, 0]] as [[UInt8]] {
                #expect(one != Self.inArray(other))
                #expect(one != Self.inPlace(other))
            }
        }
    }

    @Test("what is looked at is in place, and what is changed is a copy's own")
    func place() {
        let place = Self.inPlace([1, 2, 3])
        let where1 = place.withContent { $0.baseAddress }
        let copy = place
        #expect(copy.withContent { $0.baseAddress } == where1)
        var changed = place
        changed.content[0] = 9
        #expect(changed.content == [9, 2, 3])
        #expect(place.content == [1, 2, 3])
        #expect(place.contentOwner.bytes.baseAddress == where1)
    }

    @Test("who keeps an array's content keeps it where it is, whatever its sender does to his own")
    func kept() {
        var envelope = Self.inArray(Array(repeating: 5, count: 10_000))
        let owner = envelope.contentOwner
        #expect(envelope.withContent { $0.baseAddress } == owner.bytes.baseAddress)
        envelope.content[0] = 6
        #expect(owner.bytes[0] == 5)
        #expect(envelope.content[0] == 6)
        envelope.content = []
        #expect(owner.bytes.allSatisfy { $0 == 5 } && owner.bytes.count == 10_000)
    }
}
