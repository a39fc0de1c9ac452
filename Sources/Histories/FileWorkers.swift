internal import Glibc
internal import Recording
internal import Synchronization
internal import Threads

/// Work that is the same for each of several files, on as many threads as the machine has processors.
enum FileWorkers {
    /// More threads than this only compete for the disk.
    private static let threadsMax = 4

    /// What `body` makes of each file, in the order of the files.
    ///
    /// - Throws: `HistoryError` of the first file for which `body` throws.
    static func map<Outcome: Sendable>(
        _ paths: [String], _ body: @escaping @Sendable (String) throws(HistoryError) -> Outcome
    ) throws(HistoryError) -> [Outcome] {
        let shared = Shared<Outcome>(count: paths.count)
        let work: @Sendable () -> Void = {
            while let index = shared.next() {
                do throws(HistoryError) {
                    shared.take(.success(try body(paths[index])), of: index)
                } catch {
                    shared.take(.failure(error), of: index)
                }
            }
        }
        let processors = Int(sysconf(Int32(_SC_NPROCESSORS_ONLN)))
        let others = min(paths.count, processors, threadsMax) - 1
        // This thread works, too: where there is no room for another it does everything.
        let threads = (0..<max(0, others)).compactMap { _ in
            try? DedicatedThread(named: "histories", work)
        }
        work()
        for thread in threads { thread.join() }
        var outcomes: [Outcome] = []
        for result in shared.results { outcomes.append(try result.get()) }
        return outcomes
    }

    private final class Shared<Outcome: Sendable>: Sendable {
        private struct State {
            var next = 0
            var results: [Result<Outcome, HistoryError>?]
        }

        private let state: Mutex<State>

        init(count: Int) {
            state = Mutex(State(results: Array(repeating: nil, count: count)))
        }

        /// The number of a file that nobody has taken; nil when there is none left.
        func next() -> Int? {
            state.withLock { state in
                guard state.next < state.results.count else { return nil }
                defer { state.next += 1 }
                return state.next
            }
        }

        func take(_ result: Result<Outcome, HistoryError>, of index: Int) {
            state.withLock { $0.results[index] = result }
        }

        var results: [Result<Outcome, HistoryError>] {
            state.withLock { $0.results.compactMap(\.self) }
        }
    }
}
