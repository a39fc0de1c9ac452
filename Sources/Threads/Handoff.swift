internal import Synchronization

/// One value from one thread to another that blocks until it is there.
///
/// The giver must always give: its thread has nothing else to do first.
public final class Handoff<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    private let wakeUp: WakeUp

    /// Makes an empty one.
    ///
    /// - Throws: `ThreadError` when the process has no descriptor left.
    public init() throws(ThreadError) {
        wakeUp = try WakeUp()
    }

    /// Gives the value.
    public func give(_ given: Value) {
        value.withLock { $0 = given }
        wakeUp.signal()
    }

    /// Waits a moment, or until the value is given.
    public func pause(milliseconds: Int32) { wakeUp.wait(milliseconds: milliseconds) }

    /// The value, waiting for it.
    public func take() -> Value {
        while true {
            if let given = value.withLock({ $0 }) { return given }
            wakeUp.wait(milliseconds: 1_000)
        }
    }

    /// The value, waiting for it for at most this long.
    public func take(within timeout: Duration) -> Value? {
        let end = ContinuousClock.now + timeout
        while true {
            if let given = value.withLock({ $0 }) { return given }
            let left = end - ContinuousClock.now
            guard left > .zero else { return nil }
            let milliseconds = left / .milliseconds(1)
            wakeUp.wait(milliseconds: Int32(min(max(milliseconds, 1), 1_000)))
        }
    }
}
