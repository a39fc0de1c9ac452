internal import Control
internal import JSON
internal import Scenarios
internal import Wire

extension Examination {
    /// The commands that an agent answers while it works.
    func checkCommands() async {
        await check(.unknownCommands, needs: .ready) {
            do throws(ControlError) {
                _ = try await self.bench.command("fly")
            } catch {
                guard case .refused(_, _, let reason) = error else { throw Broken("\(error)") }
                try require(!reason.isEmpty, "it refused 'fly' without a reason")
                return
            }
            throw Broken("it answered the command 'fly' with ok")
        }
        await check(.status, needs: .ready) {
            let status = try await self.bench.command("status")
            let wrong = Self.wrongFields(of: status)
            try require(
                wrong.isEmpty,
                "these members are missing or of the wrong kind: "
                    + wrong.joined(separator: ", "))
            self.acknowledges = status["acknowledges"]?.bool == true
            let topics = status["subscriptions"]?.array?.compactMap(\.string) ?? []
            try require(
                topics.contains(Bench.inbound),
                "'subscriptions' is \(topics), without '\(Bench.inbound)'")
            try require(
                status["transport"]?.string == self.bench.transport.rawValue,
                "'transport' is \(status["transport"]?.canonical ?? "missing")")
            let flow = Flow(source: Bench.checker, destination: .agent(Bench.program))
            let count = status["delivered"]?[flow.description]?.integer ?? 0
            try require(
                count >= self.answered.count { $0.identity.flow == flow },
                "'delivered' has \(count) for '\(flow)', of which it answered more")
        }
        await check(.result, needs: .ready) { _ = try await self.bench.command("result") }
        await check(.loads, needs: .ready) {
            let from = self.line.seen.count
            let answer: Value
            // A program that publishes at once must not be saved by a proxy that was faster.
            let awake = try await self.bench.pauseTopics(for: .milliseconds(500))
            do throws(ControlError) {
                answer = try await self.bench.command("load", ["count": 10, "type": "note"])
            } catch {
                if case .refused(_, _, let reason) = error {
                    throw Skipped("the program sends no load: \(reason)")
                }
                throw Broken("\(error)")
            }
            try await awake.value
            self.sendsLoads = true
            try require(
                answer["messages"] == 10 && answer["sent"] == 20 && answer["failed"] == 0,
                "a load of 10 messages to an agent and a topic was answered with "
                    + answer.canonical)
            try await self.wait("not all of a load of 10 messages came to '\(Bench.checker)'") {
                self.contents(to: .agent(Bench.checker), after: from).count == 10
            }
        }
        await check(.publications, needs: .loads) {
            let topic = Address.topic(Bench.outbound)
            try await self.wait("not all of a load of 10 messages came on \(topic)") {
                self.contents(to: topic, after: 0).count >= 10
            }
            let first = self.contents(to: topic, after: 0).map(\.sequence)
            try require(
                first == Array(1...10), "the sequences on \(topic) are \(first.map(Int.init))")
        }
    }

    /// Members that `status` must have and has not.
    private static func wrongFields(of status: Value) -> [String] {
        let isRight = [
            "sent": status["sent"]?.object.map { $0.values.allSatisfy { $0.integer != nil } },
            "delivered": status["delivered"]?.object.map {
                $0.values.allSatisfy { $0.integer != nil }
            },
            "held": (status["held"]?.integer).map { _ in true },
            "loading": (status["loading"]?.bool).map { _ in true },
            "subscriptions": (status["subscriptions"]?.array).map { _ in true },
            "transport": (status["transport"]?.string).map { _ in true },
        ]
        return isRight.filter { $0.value != true }.keys.sorted()
    }

    /// What the program sent to a destination, as it was seen there.
    func contents(to destination: Address, after index: Int) -> [Envelope] {
        line.seen.dropFirst(index).compactMap(\.content).filter {
            $0.destination == destination && $0.type != "echo"
        }
    }
}
