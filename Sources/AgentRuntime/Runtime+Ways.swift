internal import Messaging
internal import Moves
internal import Wire
internal import ZeroMQ

/// How an agent comes into the mesh, and where it lives there.
extension Runtime {
    /// Opens the way into the mesh that the environment names.
    static func attach(
        _ environment: AgentEnvironment, in context: Context, sharing connections: Connections
    ) throws(MessagingError) -> any AgentTransport {
        if environment.transport == .zmq, environment.speaksSeedWire {
            return try SeedTransport(
                SeedTransport.Configuration(
                    agent: environment.name, incarnation: environment.incarnation,
                    branch: environment.branch ?? "", topicProxies: environment.topicProxies),
                clock: environment.clock, in: context)
        }
        let openers = openers(environment, in: context, sharing: connections)
        if let epoch = environment.routeEpoch {
            return try LiveTransport(
                agent: environment.name, returningTo: Route(environment.transport, epoch: epoch),
                clock: environment.clock, openers: openers)
        }
        return try LiveTransport(
            agent: environment.name, at: Route(environment.transport, epoch: 0),
            clock: environment.clock, openers: openers)
    }

    private static func openers(
        _ environment: AgentEnvironment, in context: Context, sharing connections: Connections
    ) -> WayOpeners {
        WayOpeners(
            zeroMQ: { () throws(MessagingError) in
                try ZeroMQTransport(
                    ZeroMQTransport.Configuration(
                        agent: environment.name, incarnation: environment.incarnation,
                        branch: environment.branch ?? "",
                        topicProxies: environment.topicProxies),
                    clock: environment.clock, in: context, sharing: connections)
            },
            nats: { () throws(MessagingError) in
                try NATSTransport(
                    agent: environment.name, url: environment.nats ?? "",
                    seedAgents: environment.seedAgents, sending: environment.natsSending,
                    isChunking: environment.isNATSChunking)
            })
    }

    /// The longest that the home may take to say where the agent lives.
    private static let homeTimeout = Duration.seconds(10)
    private static let homeLook = Duration.milliseconds(10)

    /// Waits until the agent knows where it lives, where that is in question.
    static func waitUntilHome(
        _ client: AgentClient, _ live: LiveTransport?
    ) throws(MessagingError) {
        guard let live, live.isMoving else { return }
        let end = ContinuousClock.now + homeTimeout
        while live.isMoving {
            guard ContinuousClock.now < end else {
                throw MessagingError(.attach("its home"), .timeout(homeTimeout))
            }
            try client.takeIn()
            var items = client.inboundItems
            do throws(ZeroMQError) {
                _ = try poll(&items, timeout: homeLook)
            } catch {
                throw MessagingError(.attach("its home"), .zeroMQ(error))
            }
        }
        Output.log("lives on \(live.route.transport.rawValue), epoch \(live.route.epoch)")
    }
}
