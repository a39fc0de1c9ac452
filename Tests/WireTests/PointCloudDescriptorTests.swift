import JSON
import Testing
import Wire

@Suite struct PointCloudDescriptorTests {
    static let descriptor = PointCloudDescriptor(
        pool: "clouds", slot: 3, generation: 7, size: 12_000_016, digest: 0x0123_4567_89AB_CDEF,
        points: 1_000_000)

    static let text = #"""
        {"digest":"xxh3:0123456789abcdef","generation":7,"points":1000000,"pool":"clouds",\#
        "size":12000016,"slot":3}
        """#

    static func envelope(_ descriptor: PointCloudDescriptor) -> Envelope {
        Envelope(
            identity: Identity(
                flow: Flow(source: "camera-1", destination: .agent("mesh")), incarnation: 1,
                sequence: 1),
            type: PointCloudType.shared, sent: 1, contentEncoding: .descriptor,
            content: Array(descriptor.json.canonical.utf8))
    }

    @Test("the descriptor's text is that of the protocol's description")
    func vector() {
        #expect(Self.descriptor.json.canonical == Self.text)
        #expect(PointCloudDescriptor(parsing: Array(Self.text.utf8)) == Self.descriptor)
    }

    @Test(
        "every descriptor comes back as it was",
        arguments: [
            descriptor,
            PointCloudDescriptor(
                pool: "a", slot: 0, generation: 0, size: 0, digest: nil, points: 0),
            PointCloudDescriptor(
                pool: "b", slot: 4_095, generation: 1 << 62, size: 5 << 30, digest: .max,
                points: 400_000_000),
            PointCloudDescriptor(
                pool: "c", slot: 1, generation: 1, size: 1, digest: 0, points: 1),
        ])
    func roundTrip(descriptor: PointCloudDescriptor) {
        #expect(PointCloudDescriptor(descriptor.json) == descriptor)
    }

    @Test(
        "what is no descriptor is refused",
        arguments: [
            "", "[]", "{}", #"{"pool":"clouds","slot":3,"generation":7,"size":1}"#,
            text.replacing("clouds", with: "../clouds"), text.replacing(":3}", with: ":-3}"),
            text.replacing(":7", with: ":-7"), text.replacing(":7", with: ":7.5"),
            text.replacing("12000016", with: "-1"), text.replacing("1000000,", with: "-1,"),
            text.replacing("xxh3:", with: "xxh4:"), text.replacing("cdef", with: "cde"),
            text.replacing("cdef", with: "CDEF"), text.replacing("0123", with: "+123"),
            text.replacing(#""xxh3:0123456789abcdef""#, with: "1"),
        ])
    func malformed(text: String) {
        #expect(PointCloudDescriptor(parsing: Array(text.utf8)) == nil)
    }

    @Test("a descriptor's encoding is 2 in the ZeroMQ header")
    func header() throws {
        let envelope = Self.envelope(Self.descriptor)
        #expect(Array(envelope.header.prefix(5)) == [1, 1, 2, 0, 0])
        #expect(try Envelope(header: envelope.header, content: envelope.content) == envelope)
    }

    @Test("on NATS a descriptor is JSON with a reference to its data")
    func headers() throws {
        let envelope = Self.envelope(Self.descriptor)
        var fields = Dictionary(
            uniqueKeysWithValues: envelope.headers.map { ($0.name, $0.value) })
        #expect(fields["ce-datacontenttype"] == "application/json")
        #expect(fields["ce-dataref"] == "shm:clouds/3/7")
        #expect(try Envelope(headers: { fields[$0] }, content: envelope.content) == envelope)
        fields["ce-dataref"] = nil
        let plain = try Envelope(headers: { fields[$0] }, content: envelope.content)
        #expect(plain.contentEncoding == .json)
    }

    @Test("a descriptor that was altered on its way is one all the same")
    func altered() throws {
        var envelope = Self.envelope(Self.descriptor)
        envelope.content = Array("{}".utf8)
        let fields = Dictionary(
            uniqueKeysWithValues: envelope.headers.map { ($0.name, $0.value) })
        #expect(fields["ce-dataref"] == "shm:")
        #expect(try Envelope(headers: { fields[$0] }, content: envelope.content) == envelope)
    }
}
