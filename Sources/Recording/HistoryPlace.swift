internal import JSON
internal import Wire

/// A place in a history that is being written, and what a reader has to know to begin there.
public struct HistoryPlace: Hashable, Sendable {
    /// Where the next record begins.
    let offset: Int
    /// The records of the channels that are defined before.
    let channels: [[UInt8]]

    /// What those say; those that say nothing are left out.
    var records: [ChannelRecord] {
        channels.compactMap { bytes in
            bytes.withUnsafeBytes { whole in
                guard whole.count > MCAP.recordHeaderLength,
                    MCAP.Opcode(rawValue: whole[0]) == .channel
                else { return nil }
                return ChannelRecord(
                    UnsafeRawBufferPointer(rebasing: whole[MCAP.recordHeaderLength...]))
            }
        }
    }

    var json: Value {
        [
            "offset": .integer(Int64(offset)),
            "channels": .array(channels.map { .string(Base64.encode($0)) }),
        ]
    }

    init(offset: Int, channels: [[UInt8]]) {
        self.offset = offset
        self.channels = channels
    }

    init?(_ value: Value) {
        guard let offset = value["offset"]?.integer, offset > 0,
            let texts = value["channels"]?.array
        else { return nil }
        let channels = texts.compactMap { $0.string.flatMap(Base64.decode) }
        guard channels.count == texts.count else { return nil }
        self.init(offset: Int(offset), channels: channels)
        guard records.count == channels.count else { return nil }
    }
}
