internal import Analysis
internal import Supervision
internal import Topologies
internal import YAML

extension Reading where Value == MemoryPromise {
    /// `{flat: 10%, proxies: 25MB, agents: 30MB}`, of which one is there at least.
    static var memory: Reading {
        .mapping { reader in
            let growth = reader.optional("flat", .percentage(in: 0...1_000))
            let size = Reading<Int>.byteSize(in: 1_000_000...(1 << 40))
            let promise = MemoryPromise(
                growth: growth.map { $0 / 100 }, proxies: reader.optional("proxies", size),
                agents: reader.optional("agents", size))
            if promise == MemoryPromise(), !reader.diagnostics.hasErrors {
                reader.diagnostics.error(
                    "a promise on memory that promises nothing", at: reader.heading,
                    help: "write 'memory: { flat: 10%, proxies: 25MB, agents: 30MB }'")
            }
            return promise
        }
    }
}

extension Rehearsal {
    /// Who looks at the memory of a mesh; nobody where nothing is promised.
    ///
    /// Programs and proxies of the user's own are looked at like ours.
    func sampler(of mesh: Mesh) -> MemorySampler? {
        guard scenario.memory != nil else { return nil }
        var roles: [String: MemorySamples.Role] = [:]
        for agent in topology.agents { roles[mesh.place.process(agent.name)] = .agent }
        for node in topology.branches.map(\.nodeName) + topology.topicProxies.map(\.nodeName) {
            roles[mesh.place.process(node)] = .proxy
        }
        return MemorySampler(of: roles, by: context.supervisor)
    }

    /// Judges what was seen of the run's own mesh.
    func judgeMemory(into verdict: inout Verdict) -> [StepVerdict] {
        guard let promise = scenario.memory else { return [] }
        verdict.memory = sampler?.reports ?? []
        return promise.judge(verdict.memory)
    }
}
