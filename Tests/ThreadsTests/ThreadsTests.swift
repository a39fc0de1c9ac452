import Glibc
import Synchronization
import Testing
import Threads

@Suite("Threads", .timeLimit(.minutes(1)))
struct ThreadsTests {
    @Test("Blocking work runs on a thread of its own and its error comes back")
    func blockingWork() async throws {
        let thread = try await onDedicatedThread(named: "a-name") { pthread_self() }
        #expect(thread != pthread_self())
        await #expect(throws: CancellationError.self) {
            try await onDedicatedThread(named: "throws") { throw CancellationError() }
        }
    }

    @Test("A join returns when the thread has ended; a second one returns at once")
    func join() throws {
        let flag = Flag()
        let thread = try DedicatedThread(named: "joined") { flag.set() }
        thread.join()
        #expect(flag.isSet)
        thread.join()
    }

    @Test("A thread takes no signal, and bears its name")
    func signals() async throws {
        let (isBlocked, name) = try await onDedicatedThread(named: "a-name") {
            var mask = sigset_t()
            pthread_sigmask(SIG_BLOCK, nil, &mask)
            var bytes = [UInt8](repeating: 0, count: 64)
            let file = open("/proc/thread-self/comm", O_RDONLY | O_CLOEXEC)
            defer { close(file) }
            let count = read(file, &bytes, bytes.count)
            let name = bytes.prefix(max(count - 1, 0))
            return (
                [SIGINT, SIGTERM, SIGCHLD].allSatisfy { sigismember(&mask, $0) == 1 },
                String(decoding: name, as: UTF8.self)
            )
        }
        #expect(isBlocked)
        #expect(name == "a-name")
    }

    @Test("Several signals wake once")
    func wakeUp() throws {
        let wakeUp = try WakeUp()
        #expect(!isReadable(wakeUp))
        wakeUp.signal()
        wakeUp.signal()
        #expect(isReadable(wakeUp))
        wakeUp.wait(milliseconds: 60_000)
        #expect(!isReadable(wakeUp))
        wakeUp.signal()
        wakeUp.take()
        #expect(!isReadable(wakeUp))
    }

    @Test("A value that is given is there for every taker; one that is not is nil")
    func handoff() throws {
        let handoff = try Handoff<Int>()
        #expect(handoff.take(within: .zero) == nil)
        _ = try DedicatedThread(named: "giver") { handoff.give(7) }
        #expect(handoff.take() == 7)
        #expect(handoff.take(within: .seconds(1)) == 7)
    }

    private func isReadable(_ wakeUp: WakeUp) -> Bool {
        var item = pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&item, 1, 0) == 1
    }
}

private final class Flag: Sendable {
    private let value = Atomic<Bool>(false)

    var isSet: Bool { value.load(ordering: .acquiring) }

    func set() { value.store(true, ordering: .releasing) }
}
