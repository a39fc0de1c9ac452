/// Reads the data of an ascii file: one row a line.
struct ASCIIReader {
    private let bytes: [UInt8]
    private let header: PLYHeader
    private let layout: VertexLayout
    private var position: Int
    /// The line that `position` stands in.
    private var line: Int

    init(bytes: [UInt8], header: PLYHeader, layout: VertexLayout) {
        self.bytes = bytes
        self.header = header
        self.layout = layout
        position = header.bodyOffset
        line = header.lines + 1
    }

    mutating func read() throws(PLYError) -> PointCloud {
        var cloud = PointCloud(.single([]))
        for (index, element) in header.elements.enumerated() where !element.properties.isEmpty {
            try checkCount(element)
            if index == layout.element {
                cloud = try vertices(element)
            } else {
                for row in 0..<element.count { try self.row(element, row) { _, _ in } }
            }
        }
        skipBlank()
        guard position == bytes.count else {
            throw PLYError(
                .wrongCount, .line(line),
                "text follows what the header declares",
                remedy: "correct the counts in the header, or export the file again")
        }
        return cloud
    }

    /// Refuses a count whose rows, however short, the rest of the file cannot hold: a value has a
    /// digit, and white space between it and the next.
    private func checkCount(_ element: PLYHeader.Element) throws(PLYError) {
        let rest = bytes.count - position
        let rowSizeMin = element.properties.count * 2
        let (needed, overflow) = element.count.multipliedReportingOverflow(by: rowSizeMin)
        guard !overflow, needed <= rest + 1 else {
            let kind: PLYError.Kind = overflow || needed / 16 > rest ? .wrongCount : .truncated
            throw PLYError(
                kind, .line(line),
                "the header declares \(element.count) rows of '\(element.name)' with "
                    + "\(element.properties.count) values, and \(rest) bytes are left",
                remedy: "the file is cut short or its header is wrong: " + PLYError.writeAgain)
        }
    }

    private mutating func vertices(_ element: PLYHeader.Element) throws(PLYError) -> PointCloud {
        var collector = CoordinateCollector(isSingle: layout.fitsSingle, count: element.count)
        let axes = layout.axes
        var words: [Range<Int>] = [0..<0, 0..<0, 0..<0]
        for row in 0..<element.count {
            try self.row(element, row) { column, word in
                if let axis = axes[column] { words[axis] = word }
            }
            var point = [0.0, 0.0, 0.0]
            for axis in 0..<3 {
                let type = element.properties[layout.columns[axis]].type
                point[axis] = try number(words[axis], type, axis, row)
            }
            collector.append(point[0], point[1], point[2])
        }
        return collector.cloud
    }

    /// Passes over one row, telling where each single value stands.
    private mutating func row(
        _ element: PLYHeader.Element, _ row: Int,
        visit: (_ column: Int, _ word: Range<Int>) -> Void
    ) throws(PLYError) {
        skipBlank()
        guard position < bytes.count else {
            throw PLYError(
                .truncated, .line(line),
                "the file ends after \(row) of \(element.count) rows of '\(element.name)'",
                remedy: "the file is cut short or its header is wrong: " + PLYError.writeAgain)
        }
        for (column, property) in element.properties.enumerated() {
            let word = try self.word(element, row, property)
            guard property.count != nil else {
                visit(column, word)
                continue
            }
            for _ in 0..<(try length(word, element, row, property)) {
                _ = try self.word(element, row, property)
            }
        }
        skipSpaces()
        guard position == bytes.count || isLineEnd(bytes[position]) else {
            throw PLYError(
                .wrongCount, .line(line),
                "row \(row) of '\(element.name)' has more values than the header declares",
                remedy: PLYError.writeAgain)
        }
    }

    private mutating func word(
        _ element: PLYHeader.Element, _ row: Int, _ property: PLYHeader.Property
    ) throws(PLYError) -> Range<Int> {
        skipSpaces()
        let start = position
        while position < bytes.count, !isLineEnd(bytes[position]), !isSpace(bytes[position]) {
            position += 1
        }
        guard position > start else {
            throw PLYError(
                position == bytes.count ? .truncated : .wrongCount, .line(line),
                "row \(row) of \(element.count) of '\(element.name)' ends before its "
                    + "'\(property.name)'",
                remedy: "the file is cut short or its header is wrong: " + PLYError.writeAgain)
        }
        return start..<position
    }

    private func length(
        _ word: Range<Int>, _ element: PLYHeader.Element, _ row: Int, _ property: PLYHeader.Property
    ) throws(PLYError) -> Int {
        // Each value takes two bytes at least, so that a lie ends at the end of the row.
        guard let length = Int(String(decoding: bytes[word], as: UTF8.self)), length >= 0 else {
            throw PLYError(
                .wrongCount, .line(line),
                "the length of list '\(property.name)' of '\(element.name)' row \(row) is "
                    + quoted(bytes[word]),
                remedy: PLYError.writeAgain)
        }
        return length
    }

    private func number(
        _ word: Range<Int>, _ type: PLYScalar, _ axis: Int, _ row: Int
    ) throws(PLYError) -> Double {
        let text = String(decoding: bytes[word], as: UTF8.self)
        let isDecimal = bytes[word].allSatisfy { byte in
            (0x30...0x39).contains(byte) || byte == 0x2E || byte == 0x2B || byte == 0x2D
                || byte == 0x65 || byte == 0x45
        }
        let parsed = Double(text)
        var reason = "is not finite"
        if let parsed, parsed.isFinite, isDecimal {
            guard let range = type.integers else {
                // What the declared type cannot hold would become infinite in any other reader.
                guard type == .float64 || Float(parsed).isFinite else {
                    throw problem(.notFinite, word, "is beyond the range of float", axis, row)
                }
                return parsed
            }
            if let integer = Int(exactly: parsed), range.contains(integer) { return parsed }
            reason = "is no integer of the declared type"
        } else if parsed == nil || parsed?.isFinite == true {
            reason = "is not a decimal number"
        } else {
            throw problem(.notFinite, word, reason, axis, row)
        }
        throw problem(.value, word, reason, axis, row)
    }

    private func problem(
        _ kind: PLYError.Kind, _ word: Range<Int>, _ reason: String, _ axis: Int, _ row: Int
    ) -> PLYError {
        PLYError(
            kind, .line(line),
            "coordinate \(["x", "y", "z"][axis]) of vertex \(row), \(quoted(bytes[word])), \(reason)",
            remedy: kind == .notFinite
                ? "remove the points without a position" : PLYError.writeAgain)
    }

    private func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }

    private func isLineEnd(_ byte: UInt8) -> Bool { byte == 0x0A || byte == 0x0D }

    private mutating func skipSpaces() {
        while position < bytes.count, isSpace(bytes[position]) { position += 1 }
    }

    /// Goes to the next line that has something on it.
    private mutating func skipBlank() {
        while position < bytes.count {
            let byte = bytes[position]
            if isLineEnd(byte) {
                let isFirstOfTwo =
                    byte == 0x0D && position + 1 < bytes.count && bytes[position + 1] == 0x0A
                if !isFirstOfTwo { line += 1 }
            } else if !isSpace(byte) {
                return
            }
            position += 1
        }
    }
}
