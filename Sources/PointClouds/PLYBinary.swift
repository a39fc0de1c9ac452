/// Reads the data of a binary file.
struct BinaryReader {
    private let bytes: [UInt8]
    private let header: PLYHeader
    private let layout: VertexLayout
    private let isBigEndian: Bool
    private var position: Int

    init(bytes: [UInt8], header: PLYHeader, layout: VertexLayout) {
        self.bytes = bytes
        self.header = header
        self.layout = layout
        isBigEndian = header.format == .binaryBigEndian
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
        let types = layout.columns.map { element.properties[$0].type }
        var offsets = [0, 0, 0]
        if !element.hasLists {
            for axis in 0..<3 {
                offsets[axis] = element.properties[..<layout.columns[axis]]
                    .reduce(0) { $0 + $1.type.size }
            }
            // What nearly every large file is.
            if types.allSatisfy({ $0 == .float32 }) {
                return PointCloud(.single(try numbers(Float.self, element, offsets)))
            } else if types.allSatisfy({ $0 == .float64 }) {
                return PointCloud(.double(try numbers(Double.self, element, offsets)))
            }
        }
        var collector = CoordinateCollector(isSingle: layout.fitsSingle, count: element.count)
        let axes = layout.axes
        var point = [0.0, 0.0, 0.0]
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
                    throw notFinite(value, row, axis, at: start + offsets[axis])
                }
                point[axis] = value
            }
            collector.append(point[0], point[1], point[2])
        }
        return collector.cloud
    }

    /// The positions of rows without lists, whose coordinates are all of one floating-point type.
    private mutating func numbers<Number: FileNumber>(
        _: Number.Type, _ element: PLYHeader.Element, _ offsets: [Int]
    ) throws(PLYError) -> [Number] {
        let (start, stride) = (position, element.rowSizeMin)
        let (x, y, z) = (start + offsets[0], start + offsets[1], start + offsets[2])
        let isBigEndian = isBigEndian
        position += element.count * stride
        let bytes = bytes
        let numbers = [Number](unsafeUninitializedCapacity: element.count * 3) { buffer, count in
            bytes.withUnsafeBytes { raw in
                for row in 0..<element.count {
                    let (place, at) = (row &* 3, row &* stride)
                    buffer.initializeElement(
                        at: place, to: Number(raw, x &+ at, isBigEndian: isBigEndian))
                    buffer.initializeElement(
                        at: place &+ 1, to: Number(raw, y &+ at, isBigEndian: isBigEndian))
                    buffer.initializeElement(
                        at: place &+ 2, to: Number(raw, z &+ at, isBigEndian: isBigEndian))
                }
            }
            count = element.count * 3
        }
        if let index = numbers.firstIndex(where: { !$0.isFinite }) {
            let (row, axis) = (index / 3, index % 3)
            throw notFinite(
                numbers[index].inDouble, row, axis, at: start + row * stride + offsets[axis])
        }
        return numbers
    }

    private func notFinite(
        _ value: Double, _ row: Int, _ axis: Int, at offset: Int
    ) -> PLYError {
        PLYError(
            .notFinite, .byte(offset),
            "coordinate \(["x", "y", "z"][axis]) of vertex \(row) is \(value)",
            remedy: "remove the points without a position")
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
        switch type {
        case .int8: Double(integer(offset) as Int8)
        case .uint8: Double(integer(offset) as UInt8)
        case .int16: Double(integer(offset) as Int16)
        case .uint16: Double(integer(offset) as UInt16)
        case .int32: Double(integer(offset) as Int32)
        case .uint32: Double(integer(offset) as UInt32)
        case .float32: Double(Float(bitPattern: integer(offset)))
        case .float64: Double(bitPattern: integer(offset))
        }
    }

    private func integer<Integer: FixedWidthInteger & BitwiseCopyable>(_ offset: Int) -> Integer {
        // The span checks the bounds; every bit pattern of these types is a value.
        let stored = bytes.span.bytes.unsafeLoadUnaligned(
            fromByteOffset: offset, as: Integer.self)
        return isBigEndian ? Integer(bigEndian: stored) : Integer(littleEndian: stored)
    }
}

/// A floating-point number of a file, for loops over many of them.
private protocol FileNumber: CloudScalar, BinaryFloatingPoint {
    init(_ bytes: UnsafeRawBufferPointer, _ offset: Int, isBigEndian: Bool)
}

extension Float: FileNumber {
    @inline(__always)
    fileprivate init(_ bytes: UnsafeRawBufferPointer, _ offset: Int, isBigEndian: Bool) {
        let bits = bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)
        self.init(
            bitPattern: isBigEndian ? UInt32(bigEndian: bits) : UInt32(littleEndian: bits))
    }
}

extension Double: FileNumber {
    @inline(__always)
    fileprivate init(_ bytes: UnsafeRawBufferPointer, _ offset: Int, isBigEndian: Bool) {
        let bits = bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self)
        self.init(
            bitPattern: isBigEndian ? UInt64(bigEndian: bits) : UInt64(littleEndian: bits))
    }
}
