internal import Histories
internal import Recording
internal import Topologies
internal import YAML

/// Recordings as loads: looked at before anything runs.
extension Scenario {
    /// Puts what recordings hold into the loads that name them: files, counts, beginnings.
    ///
    /// - Parameters:
    ///   - topology: Whose agents play them.
    ///   - folder: What relative places are relative to; ends with a slash, or is empty.
    ///   - references: Where the file names agents.
    ///   - diagnostics: Where reports go.
    mutating func resolveRecordings(
        for topology: Topology, in folder: String, references: [Reference],
        reportingTo diagnostics: Diagnostics
    ) {
        var known: [String: RecordedSends] = [:]
        for step in steps.indices {
            for number in steps[step].load.indices {
                guard let recording = steps[step].load[number].recording,
                    let place = recording.paths.first
                else { continue }
                let agent = steps[step].load[number].agent
                guard
                    let location = references.first(where: {
                        $0.target == .agent && $0.name == agent
                    })?.location
                else { continue }
                let path = place.hasPrefix("/") ? place : folder + place
                let key = "\(path) \(recording.until.map { "\($0)" } ?? "")"
                do throws(HistoryError) {
                    let sends =
                        if let sends = known[key] {
                            sends
                        } else {
                            try RecordedSends(
                                paths: try HistoryFiles(path).paths,
                                until: recording.until?.wholeNanoseconds)
                        }
                    known[key] = sends
                    if let complaint = take(sends, step, number, agent, topology) {
                        diagnostics.error(
                            "\(place): \(complaint.0)", at: location, help: complaint.1)
                    }
                } catch {
                    diagnostics.error("\(error)", at: location, help: error.remedy)
                }
            }
        }
    }

    /// Takes what a recording says of an agent; what is wrong with it, and what to do.
    private mutating func take(
        _ sends: RecordedSends, _ step: Int, _ number: Int, _ agent: String, _ topology: Topology
    ) -> (String, String)? {
        if let note = sends.notes.first {
            return ("it is damaged: \(note)", "'synmesh history recover' saves what can be read")
        }
        guard topology.agents(referredToAs: agent).count == 1 else {
            return (
                "'\(agent)' are several agents", "a recording is of one agent: name that one"
            )
        }
        guard let sender = sends.senders[agent] else {
            let names = sends.senders.keys.sorted().joined(separator: ", ")
            return ("nothing that '\(agent)' sent stands in it", "it has what was sent by \(names)")
        }
        guard sender.unplayable == 0 else {
            return (
                "of \(sender.unplayable) messages that '\(agent)' sent the content is not there",
                "contents above the limit of a history are digests, and those in shared memory are "
                    + "gone; play agents whose contents are smaller"
            )
        }
        steps[step].load[number].count = sender.count
        steps[step].load[number].recording?.paths = sender.paths
        steps[step].load[number].recording?.origin = sends.origin
        return nil
    }
}

extension Duration {
    /// In nanoseconds, as far as 64 bits go.
    fileprivate var wholeNanoseconds: UInt64 {
        let seconds = UInt64(clamping: components.seconds)
        let (product, isTooLarge) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return isTooLarge
            ? .max : product &+ UInt64(clamping: components.attoseconds / 1_000_000_000)
    }
}
