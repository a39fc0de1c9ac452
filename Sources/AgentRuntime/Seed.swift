/// Numbers that follow from a seed and some labels, and from nothing else.
public enum Seed {
    /// A seed of its own for what the labels name.
    public static func derived(from seed: UInt64, _ labels: String..., index: Int = 0) -> UInt64 {
        var mixed = mix(seed)
        for label in labels {
            for byte in label.utf8 { mixed = mix(mixed ^ UInt64(byte)) }
            // Ends the label, so that ("ab", "c") is not ("a", "bc"): no byte has this value.
            mixed = mix(mixed ^ 0x100)
        }
        return mix(mixed ^ UInt64(truncatingIfNeeded: index))
    }

    /// One step that spreads every bit over all 64 (SplitMix64's).
    public static func mix(_ number: UInt64) -> UInt64 {
        var mixed = number &+ 0x9E37_79B9_7F4A_7C15
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
