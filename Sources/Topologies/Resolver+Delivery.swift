internal import JSON
internal import Wire
internal import YAML

/// Where the delivery class `at_least_once` is possible, and where it would be a promise that nobody
/// keeps.
extension Resolver {
    /// Reports agents that are to send at least once and cannot, or to agents that cannot
    /// acknowledge.
    func checkDelivery(_ agents: [Agent]) {
        let byName = Dictionary(agents.map { ($0.name, $0) }) { first, _ in first }
        let silent = agents.filter { !$0.acknowledges }
        var seen: Set<String> = []
        for agent in agents where agent.delivery == .atLeastOnce {
            guard seen.insert(agent.group).inserted, let location = agent.deliveryLocation else {
                continue
            }
            let name = Diagnostic.quote(agent.group)
            if agent.isBehindForeignProxy {
                diagnostics.error(
                    "the proxy of branch \(Diagnostic.quote(agent.branch)) is your own, and what it "
                        + "passes on, the seed's wire, knows no acknowledgements",
                    at: location, help: "remove 'delivery', or move the agent to a branch of ours")
                continue
            }
            guard agent.speaks, agent.keepsHistory else {
                diagnostics.error(
                    "\(name) is a command without a history of its own, and what has to be sent "
                        + "again after a crash stands nowhere else", at: location,
                    help: "remove 'delivery', or add 'contract: full' and 'history: own'")
                continue
            }
            if agent.settings["pool"] != nil {
                diagnostics.error(
                    "\(name) sends contents in shared memory, which are gone when it crashes: they "
                        + "cannot be sent at least once", at: location,
                    help: "remove 'delivery', or the setting 'pool'")
            }
            checkDestinations(of: agent, byName, location)
            guard let asker = silent.first, !diagnostics.hasErrors else { continue }
            diagnostics.note(
                "\(name) sends at most once to \(Diagnostic.quote(asker.group)), which acknowledges "
                    + "nothing", at: location)
        }
    }

    /// Checks that who is said to acknowledge can: what is acknowledged is what is recorded.
    func checkAcknowledges(of agent: Declarations.Agent) {
        guard let acknowledges = agent.acknowledges else { return }
        if agent.kindKey != nil {
            diagnostics.error(
                "a built-in agent acknowledges by itself", at: acknowledges.location,
                help: "remove 'acknowledges': it is for commands")
        } else if acknowledges.value,
            agent.contract?.value != .full || agent.history?.value != .own
        {
            diagnostics.error(
                "only a command that keeps a history of its own can say what it has recorded",
                at: acknowledges.location,
                help: "remove 'acknowledges', or add 'contract: full' and 'history: own'")
        }
    }

    private func checkDestinations(
        of agent: Agent, _ agents: [String: Agent], _ location: Location
    ) {
        let name = Diagnostic.quote(agent.group)
        let addressed = agent.addressedAgents.compactMap { agents[$0] }
        if let other = addressed.first(where: { !$0.acknowledges }) {
            let why =
                other.isBehindForeignProxy
                ? "is behind a proxy of your own and acknowledges nothing"
                : "does not say that it acknowledges"
            diagnostics.error(
                "\(name) is to send to \(Diagnostic.quote(other.group)) at least once, which \(why)",
                at: location,
                help: "remove 'delivery', or add 'acknowledges: true' to a command that does")
        }
        guard let topic = agent.publishedTopics.first else { return }
        let text = "has nobody who could acknowledge for all of its subscribers"
        if addressed.isEmpty {
            diagnostics.error(
                "\(name) sends to topics only, and the topic \(Diagnostic.quote(topic)) \(text)",
                at: location, help: "remove 'delivery', or have it send to agents")
        } else if !diagnostics.hasErrors {
            diagnostics.note(
                "what \(name) publishes is sent at most once: the topic \(Diagnostic.quote(topic)) "
                    + text, at: location)
        }
    }
}
