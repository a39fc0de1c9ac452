internal import Glibc

/// CloudEvents 1.0 attributes in binary mode, as NATS message headers (`ce-*`).
///
/// `ce-source` and `ce-id` together are unique; `ce-sequence` is zero-padded because CloudEvents
/// compares it as a string. Field names beyond the specification's are extension attributes.
extension Envelope {
    /// Every header of the envelope, in a fixed order.
    public var headers: [(name: String, value: String)] {
        var lines: [UInt8] = []
        appendHeaderLines(to: &lines)
        return lines.split(separator: UInt8(ascii: "\n")).map { line in
            let line = line.last == UInt8(ascii: "\r") ? line.dropLast() : line
            let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
            return (
                String(decoding: line[..<colon], as: UTF8.self),
                String(decoding: line[colon...].dropFirst(2), as: UTF8.self)
            )
        }
    }

    /// Reads what `headers` wrote.
    ///
    /// - Parameters:
    ///   - header: looks a header up by its name
    ///   - content: the message's content
    /// - Throws: `WireError` naming the field that is missing or malformed
    public init(
        headers header: (String) -> String?, content: [UInt8]
    ) throws(WireError) {
        var values: [ContiguousArray<CChar>] = []
        try self.init(
            headersInPlace: { name in
                guard let value = header("\(name)") else { return nil }
                values.append(value.utf8CString)
                // Stays where it is as long as `values` keeps it.
                return values.last.flatMap { $0.withUnsafeBufferPointer(\.baseAddress) }
            })
        self.content = content
    }

    /// Reads headers where they lie, without a content.
    ///
    /// - Parameter header: Looks a header up by its name; what it returns ends with a zero and stays
    ///   as it is until this returns.
    /// - Throws: `WireError` naming the field that is missing or malformed.
    public init(
        headersInPlace header: (StaticString) -> UnsafePointer<CChar>?
    ) throws(WireError) {
        func required(_ name: StaticString) throws(WireError) -> UnsafePointer<CChar> {
            guard let value = header(name) else { throw .missing(field: "\(name)") }
            return value
        }
        func number<Number: FixedWidthInteger>(
            _ name: StaticString, _: Number.Type
        ) throws(WireError) -> Number {
            guard let number = UInt64(decimal: try required(name)).flatMap({ Number(exactly: $0) })
            else {
                throw .malformed(field: "\(name)")
            }
            return number
        }
        let rawKind = try number("ce-kind", UInt8.self)
        guard let kind = Kind(rawValue: rawKind) else { throw .unknownKind(rawKind) }
        var cause: Identity?
        if let text = header("ce-causationid") {
            guard let identity = Identity(causationID: String(cString: text)) else {
                throw .malformed(field: "ce-causationid")
            }
            cause = identity
        }
        self.init(
            identity: Identity(
                flow: Flow(
                    source: String(cString: try required("ce-source")),
                    destination: Address(String(cString: try required("ce-destination")))),
                incarnation: try number("ce-incarnation", UInt32.self),
                sequence: try number("ce-sequence", UInt64.self)),
            kind: kind, type: String(cString: try required("ce-type")),
            sent: try number("ce-sent", UInt64.self), cause: cause,
            hops: try number("ce-hops", UInt8.self),
            contentEncoding: Self.contentEncoding(header),
            delivery: header("synmesh-delivery").flatMap {
                DeliveryClass(rawValue: String(cString: $0))
            } ?? .atMostOnce)
    }

    private static func contentEncoding(
        _ header: (StaticString) -> UnsafePointer<CChar>?
    ) -> ContentEncoding {
        guard let type = header("ce-datacontenttype"), strcmp(type, "application/json") == 0 else {
            return .binary
        }
        guard let reference = header("ce-dataref"),
            strncmp(reference, PointCloudDescriptor.scheme, PointCloudDescriptor.scheme.utf8.count)
                == 0
        else { return .json }
        return .descriptor
    }
}

extension UInt64 {
    /// A number in decimal digits alone, up to a zero byte; nil for anything else, and for what
    /// exceeds 64 bits.
    public init?(decimal text: UnsafePointer<CChar>) {
        var place = text
        var number: UInt64 = 0
        while place.pointee != 0 {
            let digit = UInt8(bitPattern: place.pointee) &- UInt8(ascii: "0")
            guard digit < 10 else { return nil }
            let (tens, isTooLarge) = number.multipliedReportingOverflow(by: 10)
            let (sum, isTooMuch) = tens.addingReportingOverflow(UInt64(digit))
            guard !isTooLarge, !isTooMuch else { return nil }
            number = sum
            place += 1
        }
        guard place != text else { return nil }
        self = number
    }
}

extension Identity {
    /// One token for the identity: `source/incarnation/destination/sequence`; names hold no slash.
    public var causationID: String {
        "\(flow.source)/\(incarnation)/\(flow.destination)/\(sequence)"
    }

    /// Reads what `causationID` wrote.
    public init?(causationID text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        guard parts.count == 4, let incarnation = UInt32(parts[1]), let sequence = UInt64(parts[3])
        else { return nil }
        self.init(
            flow: Flow(source: String(parts[0]), destination: Address(parts[2])),
            incarnation: incarnation, sequence: sequence)
    }
}
