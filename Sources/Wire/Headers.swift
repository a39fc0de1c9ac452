/// CloudEvents 1.0 attributes in binary mode, as NATS message headers (`ce-*`).
///
/// `ce-source` and `ce-id` together are unique; `ce-sequence` is zero-padded because CloudEvents
/// compares it as a string. Field names beyond the specification's are extension attributes.
extension Envelope {
    /// The header of an envelope that is to be acknowledged.
    public static let deliveryHeader = "synmesh-delivery"

    /// Every header of the envelope, in a fixed order.
    public var headers: [(name: String, value: String)] {
        var fields: [(name: String, value: String)] = [
            ("ce-specversion", "1.0"),
            ("ce-source", source),
            ("ce-id", "\(incarnation)/\(destination)/\(sequence)"),
            ("ce-type", type),
            ("ce-sequence", Envelope.padded(sequence)),
            ("ce-incarnation", String(incarnation)),
            ("ce-destination", destination.description),
            ("ce-sent", String(sent)),
            ("ce-kind", String(kind.rawValue)),
            ("ce-hops", String(hops)),
            (
                "ce-datacontenttype",
                contentEncoding.isJSON ? "application/json" : "application/octet-stream"
            ),
        ]
        if contentEncoding == .descriptor {
            let reference = PointCloudDescriptor(parsing: content)?.reference
            fields.append(("ce-dataref", reference ?? PointCloudDescriptor.scheme))
        }
        if let cause { fields.append(("ce-causationid", cause.causationID)) }
        if delivery == .atLeastOnce {
            fields.append((Envelope.deliveryHeader, delivery.rawValue))
        }
        return fields
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
        func required(_ name: String) throws(WireError) -> String {
            guard let value = header(name) else { throw .missing(field: name) }
            return value
        }
        func number<Number: FixedWidthInteger>(
            _ name: String, _: Number.Type
        ) throws(WireError) -> Number {
            guard let number = Number(try required(name)) else { throw .malformed(field: name) }
            return number
        }
        let rawKind = try number("ce-kind", UInt8.self)
        guard let kind = Kind(rawValue: rawKind) else { throw .unknownKind(rawKind) }
        var cause: Identity?
        if let text = header("ce-causationid") {
            guard let identity = Identity(causationID: text) else {
                throw .malformed(field: "ce-causationid")
            }
            cause = identity
        }
        self.init(
            identity: Identity(
                flow: Flow(
                    source: try required("ce-source"),
                    destination: Address(try required("ce-destination"))),
                incarnation: try number("ce-incarnation", UInt32.self),
                sequence: try number("ce-sequence", UInt64.self)),
            kind: kind, type: try required("ce-type"), sent: try number("ce-sent", UInt64.self),
            cause: cause, hops: try number("ce-hops", UInt8.self),
            contentEncoding: Self.contentEncoding(header),
            delivery: header(Envelope.deliveryHeader).flatMap(DeliveryClass.init(rawValue:))
                ?? .atMostOnce,
            content: content)
    }

    private static func contentEncoding(_ header: (String) -> String?) -> ContentEncoding {
        guard header("ce-datacontenttype") == "application/json" else { return .binary }
        let reference = header("ce-dataref")
        return reference?.hasPrefix(PointCloudDescriptor.scheme) == true ? .descriptor : .json
    }

    private static func padded(_ sequence: UInt64) -> String {
        let digits = String(sequence)
        return String(repeating: "0", count: 20 - digits.count) + digits
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
