internal import JSON
internal import Operating
internal import Recording
internal import Supervision
internal import Threads
internal import Topologies

/// Why a part is as it is, in lines for people.
extension MeshSession {
    func explain(_ request: Request) async throws -> [String] {
        let name = request.arguments["name"]?.string ?? ""
        let topology = mesh.topology
        let dependencies = topology.dependencies[name]
        let process = mesh.place.process(name)
        guard let status = await context.supervisor.statuses().first(where: { $0.name == process })
        else {
            guard let dependencies else { throw unknown(name) }
            let missing = mesh.board.missing(dependencies).map { dependency in
                "  it waits for '\(dependency.name)' to be "
                    + dependency.condition.rawValue.replacing("_", with: " ")
            }
            return ["\(name) has not been started"] + missing
        }
        let report = ProcessReport(status, kind: "", isReady: mesh.book.isReady(name))
        return await ["\(name) " + headline(report)] + probes(status) + ports(status, of: name)
            + ends(status, of: name)
    }

    private func unknown(_ name: String) -> OperatingError {
        let topology = mesh.topology
        let names = topology.agents.map(\.name) + topology.processes.map(\.name)
        return OperatingError(
            .badArguments, "there is no part '\(name)'",
            remedy: names.isEmpty ? nil : "There is \(names.prefix(20).joined(separator: ", ")).")
    }

    private func headline(_ report: ProcessReport) -> String {
        let status = report.status
        let number = status.process.map { "process \($0), " } ?? ""
        let incarnation = "\(number)incarnation \(status.incarnation)"
        switch status.phase {
        case .running:
            let paused = status.isPaused ? ", and is kept from running by a fault" : ""
            let isReady = report.isReady && status.isReady
            return "runs (\(incarnation)) and is \(isReady ? "" : "not ")ready\(paused)"
        case .stopping: return "is being stopped (\(incarnation))"
        case .restarting:
            return "is going to be started again (incarnation \(status.incarnation + 1))"
        case .ended: return "has ended (incarnation \(status.incarnation))"
        }
    }

    private func probes(_ status: ProcessStatus) -> [String] {
        status.probes.map { probe in
            let state =
                switch probe.passes {
                case true?: "passes"
                case false?: "fails"
                case nil: "has not passed"
                }
            return "  its \(probe.rule.role.rawValue) probe '\(probe.rule.name)' \(state): "
                + "\(probe.rule): \(probe.reason)"
        }
    }

    /// Who listens on the ports of this machine that its probes ask, or that it was given.
    private func ports(_ status: ProcessStatus, of part: String) async -> [String] {
        let asked = status.probes.compactMap { probe -> UInt16? in
            switch probe.rule.test {
            case .http(let host, let port, _), .tcp(let host, let port):
                host == "localhost" || host == "::1" || host.hasPrefix("127.") ? port : nil
            case .command, .line, .descriptor: nil
            }
        }
        let given = mesh.book.withLock { book in
            (book.endpoints[part].map { Array($0.values) } ?? [])
                + [book.urls[part]].compactMap(\.self)
        }
        let own = Set(status.process.map { ProcessFamily.members(of: $0).map(\.process) } ?? [])
        var lines: [String] = []
        for port in Set(asked + given.compactMap(Mesh.port(of:))).sorted() {
            let holders = await PortHolders.described(port, family: own) ?? "nobody"
            lines.append("  port \(port) is held by \(holders)")
        }
        return lines
    }

    private func ends(_ status: ProcessStatus, of part: String) -> [String] {
        var lines: [String] = []
        if let process = status.process, status.phase == .stopping {
            let left = ProcessFamily.members(of: process)
            lines += left.map { "  still there: process \($0.process) (\($0.name))" }
        }
        if let exit = status.lastExit {
            lines.append("  its latest end: \(exit)")
            lines += exit.escaped.map { "  it had left behind process \($0.process) (\($0.name))" }
        }
        lines.append("  its output: \(mesh.place.directory.processLogPath(name: part))")
        return lines
    }
}

extension PortHolders {
    /// Who listens on a port, in words.
    ///
    /// - Parameters:
    ///   - port: The port.
    ///   - family: Those that may; of others it is said where this is not empty.
    /// - Returns: Nil where nobody does.
    static func described(_ port: UInt16, family: Set<Int32>) async -> String? {
        let holders = try? await onDedicatedThread(named: "port-holders") {
            PortHolders.holders(of: port)
        }
        guard let holders else { return nil }
        guard !holders.isEmpty else { return "a process of another user" }
        return holders.map { holder in
            let isOther = !family.isEmpty && !family.contains(holder.process)
            return "process \(holder.process) (\(holder.name))"
                + (isOther ? ", which is none of its own" : "")
        }.joined(separator: "; ")
    }
}
