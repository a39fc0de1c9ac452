/// The types of the markers by which an agent and the proxies speak of its moves.
public enum MoveWord {
    /// To the home proxy: may I live there; the content is a `Route`.
    public static let ask = "move"
    /// From the home proxy, behind everything that it sent before it decided: that is where you live.
    public static let answer = "moved"
    /// To the home proxy, from it to its links, and back: all that was sent before has gone on.
    ///
    /// The content is a `Settlement` on the first of these ways, and comes back as it was.
    public static let settle = "settle"

    /// Before the name of an agent: what it asks a topic proxy for, as a subscription; the answer, on that
    /// topic, is behind everything that the proxy had for its subscribers.
    public static let lastTopic = "_last."
    /// Before the name of an agent: what it publishes behind everything else of it; the proxy answers by
    /// a subscription to that topic.
    public static let settleTopic = "_settle."
}
