internal import Wire

extension Pairing {
    /// What was found so far, counted over all flows.
    func report(aligners: [Aligner]) -> ComparisonReport {
        var report = ComparisonReport(counts: ComparisonCounts(mode: options.mode))
        for state in streams {
            report.counts.match += state.match
            for (deviation, sequences) in state.classes {
                report.counts[deviation] += sequences.count
            }
            report.counts[.missing] += state.left.unpaired.count
            report.counts[.extra] += state.right.unpaired.count
            for (place, count) in state.places { report.paths[place, default: 0] += count }
        }
        report.differences = differences(aligners)
        let deviating = report.counts.total - report.counts.match
        report.differencesOmitted = deviating - report.differences.count
        report.passes = passes
        return report
    }

    /// The first of each class, by flow and sequence.
    private func differences(_ aligners: [Aligner]) -> [ComparisonDifference] {
        let order = streams.indices.sorted { streams[$0].key < streams[$1].key }
        var ranks = [Int](repeating: 0, count: streams.count)
        for (rank, number) in order.enumerated() { ranks[number] = rank }
        // One that was found worse since is there in its new class, too.
        var entries = kept.filter { streams[$0.stream].deviation(of: $0.sequence) == $0.deviation }
        var counts = (missing: 0, extra: 0)
        for number in order {
            for sequence in streams[number].left.unpaired.sequences
            where counts.missing < options.differencesMax {
                counts.missing += 1
                entries.append(
                    Kept(
                        stream: number, sequence: sequence, deviation: .missing,
                        reason: "Not delivered on the right side."))
            }
            for sequence in streams[number].right.unpaired.sequences
            where counts.extra < options.differencesMax {
                counts.extra += 1
                entries.append(
                    Kept(
                        stream: number, sequence: sequence, deviation: .extra,
                        reason: "Not delivered on the left side.", isOnRight: true))
            }
        }
        entries.sort { (ranks[$0.stream], $0.sequence) < (ranks[$1.stream], $1.sequence) }
        return entries.compactMap { entry in
            let key = streams[entry.stream].key
            let side = entry.isOnRight ? 1 : 0
            guard
                let identity = aligners[side].identity(key.stream, entry.sequence)
                    ?? aligners[1 - side].identity(key.stream, entry.sequence)
            else { return nil }
            return ComparisonDifference(
                deviation: entry.deviation, identity: identity, receiver: key.receiver,
                path: entry.path, left: entry.left, right: entry.right, reason: entry.reason)
        }
    }
}

extension ComparisonReport {
    /// The places of this comparison that are noise beside another one, of runs that should be the same.
    ///
    /// A place is noise where its rate here does not exceed its rate there by a fifth of both and by
    /// 3 of 10,000 envelopes (the thresholds of Diffy, https://github.com/opendiffy/diffy). A place
    /// that a rule speaks of is never noise: the rule says what may differ there. Nor are contents that are
    /// no JSON.
    public func noise(beside other: ComparisonReport, rules: [PathRule]) -> [Noise] {
        let (total, otherTotal) = (Double(max(1, counts.total)), Double(max(1, other.counts.total)))
        return other.paths.sorted { $0.key < $1.key }.compactMap { place, count in
            let there = Double(count) / otherTotal
            let here = Double(paths[place] ?? 0) / total
            let excess = here - there
            if excess > 0, excess / (here + there) > 0.2, excess > 0.0003 { return nil }
            // Bytes that are no JSON have no places: one that differs would excuse all others.
            guard let pattern = try? PathPattern(place),
                !rules.contains(where: { $0.pattern.speaks(of: pattern) })
            else { return nil }
            return Noise(path: place, rate: there)
        }
    }
}
