extension Envelope {
    /// Appends every header as a line, `name: value`, lines apart by CR LF and none after the last.
    ///
    /// One pass over bytes: the headers of an envelope are most of what it costs to publish it.
    /// Whatever would end a line before its time becomes a blank.
    ///
    /// - Parameter lines: What is appended to.
    public func appendHeaderLines(to lines: inout [UInt8]) {
        lines.append(text: "ce-specversion: 1.0\r\n")
        appendAttributeLines(to: &lines)
    }

    /// Appends the same without the first line, by which a message is known to be a whole event.
    ///
    /// - Parameter lines: What is appended to.
    public func appendAttributeLines(to lines: inout [UInt8]) {
        lines.append(text: "ce-source: ")
        lines.append(value: source)
        lines.append(text: "\r\nce-id: ")
        lines.append(number: UInt64(incarnation))
        lines.append(text: "/")
        lines.append(address: destination)
        lines.append(text: "/")
        lines.append(number: sequence)
        lines.append(text: "\r\nce-type: ")
        lines.append(value: type)
        lines.append(text: "\r\nce-sequence: ")
        lines.append(number: sequence, digits: 20)
        lines.append(text: "\r\nce-incarnation: ")
        lines.append(number: UInt64(incarnation))
        lines.append(text: "\r\nce-destination: ")
        lines.append(address: destination)
        lines.append(text: "\r\nce-sent: ")
        lines.append(number: sent)
        lines.append(text: "\r\nce-kind: ")
        lines.append(number: UInt64(kind.rawValue))
        lines.append(text: "\r\nce-hops: ")
        lines.append(number: UInt64(hops))
        lines.append(
            text: contentEncoding.isJSON
                ? "\r\nce-datacontenttype: application/json"
                : "\r\nce-datacontenttype: application/octet-stream")
        if contentEncoding == .descriptor {
            let reference = PointCloudDescriptor(parsing: content)?.reference
            lines.append(text: "\r\nce-dataref: ")
            lines.append(value: reference ?? PointCloudDescriptor.scheme)
        }
        if let cause {
            lines.append(text: "\r\nce-causationid: ")
            lines.append(value: cause.causationID)
        }
        if delivery == .atLeastOnce {
            lines.append(text: "\r\nsynmesh-delivery: at_least_once")
        }
    }
}

extension [UInt8] {
    fileprivate mutating func append(text: StaticString) {
        append(
            contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
    }

    fileprivate mutating func append(value: String) {
        let start = count
        append(contentsOf: value.utf8)
        for index in start..<count where self[index] < 0x20 { self[index] = 0x20 }
    }

    fileprivate mutating func append(address: Address) {
        if case .topic = address { append(text: "topic:") }
        append(value: address.name)
    }

    /// Decimal, with leading zeros up to a number of digits.
    fileprivate mutating func append(number: UInt64, digits: Int = 1) {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 20) { buffer in
            var rest = number
            var place = 20
            while rest > 0 || 20 - place < digits {
                place -= 1
                buffer[place] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
                rest /= 10
            }
            append(contentsOf: buffer[place...])
        }
    }
}
