/// Who has passed on all that a moved agent sent on its old way.
///
/// An agent marks the end of that way, again and again until it is told that all of it has gone on: at its home,
/// and at each proxy beside it through which it may have sent. Only then may it send on the new one, which
/// would overtake what is still on the old one.
struct WaySettlement: Sendable {
    private var epoch: UInt64 = 0
    private var settled: Set<String> = []

    /// Nobody yet.
    init() {}

    /// Notes that a proxy has.
    ///
    /// - Parameters:
    ///   - proxy: Its name.
    ///   - epoch: The move's; earlier ones are over.
    ///   - all: Every proxy that has to.
    /// - Returns: Whether all of them have.
    mutating func note(_ proxy: String, epoch: UInt64, of all: some Sequence<String>) -> Bool {
        if epoch > self.epoch {
            self.epoch = epoch
            settled = []
        }
        guard epoch == self.epoch else { return false }
        settled.insert(proxy)
        return all.allSatisfy(settled.contains)
    }
}
