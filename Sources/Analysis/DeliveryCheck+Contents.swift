internal import Recording
internal import Wire

/// Whether what was delivered is what was sent, in the envelope or in shared memory.
extension DeliveryCheck {
    mutating func checkContent(
        _ entry: SentEntry, _ copies: ArraySlice<DeliveredEntry>, _ leg: Leg,
        _ life: ClosedRange<UInt64>
    ) {
        let kind = kind(at: entry.place)
        for copy in copies {
            let other = self.kind(at: copy.place)
            guard
                !hasSameContent(entry.place, copy.place) || kind.type != other.type
                    || kind.contentEncoding != other.contentEncoding
            else { continue }
            let sent = record(at: entry.place)
            let delivered = record(at: copy.place)
            deviate(.corrupted, 1, sent.identity, leg, life) {
                Self.alteration(sent, delivered)
            }
            return
        }
        if kind.contentEncoding == .descriptor {
            checkSharedContent(record(at: entry.place), leg, life)
        }
    }

    /// The descriptor came as it was sent; what it points to is another question.
    private mutating func checkSharedContent(
        _ sent: HistoryRecord, _ leg: Leg, _ life: ClosedRange<UInt64>
    ) {
        switch index.sharedContents[sent.identity]?[leg.receiver] {
        case .read(isVerified: true): break
        case .read(isVerified: false): report.unverified += 1
        case .unreadable(let reason, let at):
            let life = life.lowerBound...max(life.upperBound, at)
            deviate(
                .corrupted, 1, sent.identity, leg, life,
                reason: "The content in shared memory could not be read: \(reason).")
        case nil where index.recorders.contains(leg.receiver):
            report.unread += 1
            let (end, overflow) = life.upperBound.addingReportingOverflow(scope.flight)
            let isExplained = faults.contains { fault in
                fault.explains.contains(.lost)
                    && fault.held(during: life.lowerBound...(overflow ? .max : end))
                    && fault.reach.covers(
                        source: sent.identity.flow.source, receiver: leg.receiver)
            }
            if !isExplained { report.unreadUnexplained += 1 }
        case nil: report.unobservedContents += 1
        }
    }

    private static func alteration(
        _ sent: HistoryRecord, _ delivered: HistoryRecord
    ) -> (path: String, reason: String) {
        if !ContentDifference.isSame(sent.content, delivered.content) {
            let difference = ContentDifference(sent.content, delivered.content)
            return (
                difference.path, "The content changed on its way: \(difference.reason)."
            )
        }
        if sent.type != delivered.type {
            return (
                "type",
                "The type changed on its way: '\(sent.type)' became '\(delivered.type)'."
            )
        }
        return (
            "encoding",
            "The encoding changed on its way: \(sent.contentEncoding) became "
                + "\(delivered.contentEncoding)."
        )
    }
}
