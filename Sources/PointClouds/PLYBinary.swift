/// Reads the data of a binary little-endian file.
struct BinaryReader {
    private let bytes: [UInt8]
    private let header: PLYHeader
    private let layout: VertexLayout
    private var position: Int

    init(bytes: [UInt8], header: PLYHeader, layout: VertexLayout) {
        self.bytes = bytes
        self.header = header
        self.layout = layout
        position = header.bodyOffset
    }

    mutating func read() throws(PLYError) -> PointCloud {
        var cloud = PointCloud(.single([]))
        for (index, element) in header.elements.enumerated() {
            try checkCount(element)
            if index == layout.element {
                cloud = try vertices(element)
            } else if element.hasLists {
                for row in 0..<element.count { try skip(element, row) }
            } else {
                position += element.count * element.rowSizeMin
            }
        }
        let rest = bytes[position...]
        // Some programs end every file with a line end.
        guard rest.count <= 2 && rest.allSatisfy({ $0 == 0x0A || $0 == 0x0D }) else {
            throw PLYError(
                .wrongCount, .byte(position),
                "\(rest.count) bytes follow what the header declares",
                remedy: "correct the counts in the header, or export the file again")
        }
        return cloud
    }

    /// Refuses a count whose rows, however short, the rest of the file cannot hold.
    private func checkCount(_ element: PLYHeader.Element) throws(PLYError) {
        let rest = bytes.count - position
        let (needed, overflow) = element.count.multipliedReportingOverflow(by: element.rowSizeMin)
        guard !overflow, needed <= rest else {
            let kind: PLYError.Kind = overflow || needed / 16 > rest ? .wrongCount : .truncated
            throw PLYError(
                kind, .byte(position),
                "the header declares \(element.count) rows of '\(element.name)' of at least "
                    + "\(element.rowSizeMin) bytes, and \(rest) bytes are left",
                remedy: "the file is cut short or its header is wrong: " + PLYError.writeAgain)
        }
    }

    private mutating func vertices(_ element: PLYHeader.Element) throws(PLYError) -> PointCloud {
        var collector = CoordinateCollector(isSingle: layout.fitsSingle, count: element.count)
        let axes = layout.axes
        var point = [0.0, 0.0, 0.0]
        var offsets = [0, 0, 0]
        let types = layout.columns.map { element.properties[$0].type }
        if !element.hasLists {
            for axis in 0..<3 {
                offsets[axis] = element.properties[..<layout.columns[axis]]
                    .reduce(0) { $0 + $1.type.size }
            }
        }
        for row in 0..<element.count {
            let start = position
            if element.hasLists {
                try skip(element, row) { column, offset in
                    if let axis = axes[column] { offsets[axis] = offset - start }
                }
            } else {
                position += element.rowSizeMin
            }
            for axis in 0..<3 {
                let value = number(types[axis], at: start + offsets[axis])
                guard value.isFinite else {
                    throw PLYError(
                        .notFinite, .byte(start + offsets[axis]),
                        "coordinate \(["x", "y", "z"][axis]) of vertex \(row) is \(value)",
                        remedy: "remove the points without a position")
                }
                point[axis] = value
            }
            collector.append(point[0], point[1], point[2])
        }
        return collector.cloud
    }

    /// Passes over one row that has lists, telling where each single value stands.
    private mutating func skip(
        _ element: PLYHeader.Element, _ row: Int,
        visit: (_ column: Int, _ offset: Int) -> Void = {
            _, _ in
        }
    ) throws(PLYError) {
        for (column, property) in element.properties.enumerated() {
            visit(column, position)
            try advance(property.count ?? property.type, by: 1, element, row)
            guard let countType = property.count else { continue }
            let length = Int(number(countType, at: position - countType.size))
            guard length >= 0 else {
                throw PLYError(
                    .wrongCount, .byte(position - countType.size),
                    "list '\(property.name)' of '\(element.name)' row \(row) has \(length) values",
                    remedy: PLYError.writeAgain)
            }
            try advance(property.type, by: length, element, row)
        }
    }

    private mutating func advance(
        _ type: PLYScalar, by count: Int, _ element: PLYHeader.Element, _ row: Int
    ) throws(PLYError) {
        guard count * type.size <= bytes.count - position else {
            throw PLYError(
                .truncated, .byte(position),
                "the file ends in row \(row) of \(element.count) of '\(element.name)'",
                remedy: "the file is cut short or a count in it is wrong: "
                    + PLYError.writeAgain)
        }
        position += count * type.size
    }

    /// The number at an offset that the caller has checked.
    private func number(_ type: PLYScalar, at offset: Int) -> Double {
        let raw = bytes.span.bytes
        // The span checks the bounds; every bit pattern of these types is a value.
        switch type {
        case .int8: return Double(Int8(bitPattern: bytes[offset]))
        case .uint8: return Double(bytes[offset])
        case .int16:
            return Double(
                Int16(littleEndian: raw.unsafeLoadUnaligned(fromByteOffset: offset, as: Int16.self))
            )
        case .uint16:
            return Double(
                UInt16(
                    littleEndian: raw.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt16.self)))
        case .int32:
            return Double(
                Int32(littleEndian: raw.unsafeLoadUnaligned(fromByteOffset: offset, as: Int32.self))
            )
        case .uint32:
            return Double(
                UInt32(
                    littleEndian: raw.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)))
        case .float32:
            let bits = raw.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt32.self)
            return Double(Float(bitPattern: UInt32(littleEndian: bits)))
        case .float64:
            let bits = raw.unsafeLoadUnaligned(fromByteOffset: offset, as: UInt64.self)
            return Double(bitPattern: UInt64(littleEndian: bits))
        }
    }
}
