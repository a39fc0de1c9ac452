internal import Synchronization

/// One value from one thread to another that blocks until it is there.
///
/// The giver must always give: its thread has nothing else to do first.
package final class Handoff<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    private let wakeUp: WakeUp

    /// Makes an empty one.
    package init(wakeUp: WakeUp) {
        self.wakeUp = wakeUp
    }

    /// Gives the value.
    package func give(_ given: Value) {
        value.withLock { $0 = given }
        wakeUp.signal()
    }

    /// Waits a moment, or until the value is given.
    package func pause(milliseconds: Int32) { wakeUp.wait(milliseconds: milliseconds) }

    /// The value, waiting for it.
    package func take() -> Value {
        while true {
            if let given = value.withLock({ $0 }) { return given }
            wakeUp.wait(milliseconds: 1_000)
        }
    }

    /// The value, waiting for it for at most this long.
    package func take(within timeout: Duration) -> Value? {
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
