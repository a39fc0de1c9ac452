extension ZeroMQTransport {
    /// What the agent needs to know of the mesh.
    public struct Configuration: Hashable, Sendable {
        /// The agent's name, which is its routing id.
        public var agent: String
        /// The agent's incarnation.
        public var incarnation: UInt32
        /// The ROUTER of its branch.
        public var branch: String
        /// The topic proxies of the mesh.
        public var topicProxies: [TopicProxyEndpoints]
        /// Envelopes that the branch may send before it hears that some were consumed.
        public var window = 1_000
        /// Contents of at least this many bytes are received where libzmq has them, and sent from
        /// where they are; shorter ones are copied, which is quicker.
        public var keepFrom = InPlace.threshold
        /// The longest that the branch may take to answer.
        public var attachTimeout: Duration = .seconds(5)

        /// Names the agent and its mesh.
        public init(
            agent: String, incarnation: UInt32, branch: String,
            topicProxies: [TopicProxyEndpoints] = []
        ) {
            self.agent = agent
            self.incarnation = incarnation
            self.branch = branch
            self.topicProxies = topicProxies
        }
    }
}
