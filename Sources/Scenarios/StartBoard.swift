internal import Synchronization
internal import Topologies

/// How far each part has come, for those that wait for it before they start.
///
/// Every wait ends: the condition holds, or it cannot hold any more and why, or the start is
/// cancelled.
final class StartBoard: Sendable {
    private struct Waiter {
        let dependency: Dependency
        let continuation: CheckedContinuation<String?, Never>
    }

    private struct State {
        var reached: [String: Set<Dependency.Condition>] = [:]
        /// How parts ended that do not come back.
        var ends: [String: String] = [:]
        var waiters: [Int: Waiter] = [:]
        var next = 0
    }

    private let state = Mutex(State())

    /// A part has come so far.
    func reach(_ condition: Dependency.Condition, _ part: String) {
        let answered = state.withLock { state in
            state.reached[part, default: []].insert(condition)
            return take(&state) { $0.name == part && $0.condition == condition }
        }
        for waiter in answered { waiter.continuation.resume(returning: nil) }
    }

    /// A part has ended and does not come back: whoever waits for more of it waits in vain.
    func end(_ part: String, successfully: Bool, because reason: String) {
        reach(.started, part)
        reach(.completed, part)
        if successfully { reach(.completedSuccessfully, part) }
        let failed = state.withLock { state in
            state.ends[part] = reason
            return take(&state) { $0.name == part }
        }
        for waiter in failed { waiter.continuation.resume(returning: reason) }
    }

    /// What of it is not so yet.
    func missing(_ dependencies: [Dependency]) -> [Dependency] {
        state.withLock { state in
            dependencies.filter {
                state.reached[$0.name]?.contains($0.condition) != true
            }
        }
    }

    /// Waits until all of it is so.
    ///
    /// - Throws: `EnvironmentError` when something of it cannot be any more; `CancellationError`.
    func wait(for dependencies: [Dependency], of part: String) async throws {
        for dependency in dependencies {
            let reason = await wait(for: dependency)
            try Task.checkCancellation()
            guard let reason else { continue }
            let words = dependency.condition.rawValue.replacing("_", with: " ")
            throw EnvironmentError(
                "could not start '\(part)'",
                reason: "it waits for '\(dependency.name)' to be \(words), and that cannot be any "
                    + "more: \(reason)")
        }
    }

    /// Nil, or why it cannot be any more.
    private func wait(for dependency: Dependency) async -> String? {
        let number = state.withLock { state in
            state.next += 1
            return state.next
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: String?? = state.withLock { state in
                    if state.reached[dependency.name]?.contains(dependency.condition) == true {
                        return .some(nil)
                    }
                    if let end = state.ends[dependency.name] { return .some(end) }
                    // Under the same lock as the handler below: it comes before or finds this.
                    if Task.isCancelled { return .some(nil) }
                    state.waiters[number] = Waiter(
                        dependency: dependency, continuation: continuation)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: number) }
            waiter?.continuation.resume(returning: nil)
        }
    }

    private func take(
        _ state: inout State, where isMeant: (Dependency) -> Bool
    ) -> [Waiter] {
        let numbers = state.waiters.filter { isMeant($0.value.dependency) }.keys
        return numbers.compactMap { state.waiters.removeValue(forKey: $0) }
    }
}
