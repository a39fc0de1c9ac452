/// Numbers as people read them.
enum Numbers {
    /// Digits in groups of three: `20,000`.
    static func grouped(_ number: Int) -> String {
        let digits = Array(String(number.magnitude))
        var text = number < 0 ? "-" : ""
        for (position, digit) in digits.enumerated() {
            if position > 0, (digits.count - position).isMultiple(of: 3) { text += "," }
            text.append(digit)
        }
        return text
    }

    /// With so many places after the point.
    static func fixed(_ number: Double, _ places: Int) -> String {
        guard number.isFinite, number.magnitude < 1e12 else { return number.description }
        let scale = (0..<places).reduce(Int64(1)) { product, _ in product * 10 }
        let scaled = Int64((number * Double(scale)).rounded())
        let whole = (scaled < 0 ? "-" : "") + grouped(Int(scaled.magnitude / UInt64(scale)))
        guard places > 0 else { return whole }
        let digits = String(scaled.magnitude % UInt64(scale))
        return whole + "." + String(repeating: "0", count: places - digits.count) + digits
    }

    /// A duration in the unit that suits it.
    static func duration(milliseconds: Int) -> String {
        if milliseconds < 1_000 { return "\(milliseconds) ms" }
        if milliseconds < 120_000 { return fixed(Double(milliseconds) / 1_000, 1) + " s" }
        let seconds = milliseconds / 1_000
        return "\(seconds / 60) min \(seconds % 60) s"
    }

    /// A duration in the unit that suits it.
    static func duration(microseconds: Double) -> String {
        if microseconds < 10_000 {
            return fixed(microseconds, microseconds < 100 ? 1 : 0) + " µs"
        }
        if microseconds < 10_000_000 { return fixed(microseconds / 1_000, 1) + " ms" }
        return fixed(microseconds / 1_000_000, 1) + " s"
    }

    /// A size in the unit that suits it, of thousands.
    static func bytes(_ number: Int) -> String {
        switch number.magnitude {
        case ..<10_000: "\(grouped(number)) B"
        case ..<10_000_000: fixed(Double(number) / 1e3, 1) + " kB"
        case ..<10_000_000_000: fixed(Double(number) / 1e6, 1) + " MB"
        default: fixed(Double(number) / 1e9, 1) + " GB"
        }
    }

    /// `1 envelope`, `2 envelopes`.
    static func count(_ number: Int, _ noun: String) -> String {
        grouped(number) + " " + noun + (number == 1 ? "" : noun.hasSuffix("s") ? "es" : "s")
    }
}
