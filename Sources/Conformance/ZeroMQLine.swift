internal import JSON
internal import Synchronization
internal import Threads
internal import Wire
internal import ZeroMQ

/// The checker on ZeroMQ: stands between the program and its branch, passes everything on as it
/// came, and sees it; beside that an agent of the branch, a publisher and a subscriber.
final class ZeroMQLine: Line {
    private enum Order: Sendable {
        case send([[UInt8]])
        case publish([[UInt8]])
        case inject([[UInt8]])
    }

    private struct State {
        var seen: [Seen] = []
        var orders: [Order] = []
        /// Hellos that are withheld from the branch, as if they had been lost.
        var lostHellos = 0
        /// Who connected, by routing id.
        var routingIDs: Set<[UInt8]> = []
        var failure: String?
        var isClosed = false
    }

    /// The places of the real mesh.
    struct Places: Sendable {
        let branch: String
        let publish: String
        let subscribe: String
        let program: String
        let checker: String
    }

    /// Where the program is to attach.
    let endpoint: String
    private let places: Places
    private let clock: RunClock
    private let state: Shared
    private let thread: DedicatedThread

    /// What the thread and the checks share.
    private final class Shared: Sendable {
        let state = Mutex(State())
        let wakeUp: WakeUp

        init() throws { wakeUp = try WakeUp() }
    }

    init(_ places: Places, clock: RunClock) throws {
        self.places = places
        self.clock = clock
        let state = try Shared()
        let start = try Handoff<Result<String, ZeroMQError>>()
        thread = try DedicatedThread(named: "conformance") {
            do throws(ZeroMQError) {
                var relay = try Relay(places, clock: clock)
                start.give(.success(relay.endpoint))
                while !state.state.withLock({ $0.isClosed }) { try relay.turn(state) }
            } catch {
                start.give(.failure(error))
                state.state.withLock { $0.failure = error.description }
            }
        }
        endpoint = try start.take().get()
        self.state = state
    }

    var seen: [Seen] { state.state.withLock { $0.seen } }

    /// The names under which something connected.
    var routingIDs: [String] {
        state.state.withLock { $0.routingIDs }.map { String(decoding: $0, as: UTF8.self) }
    }

    /// Loses the next hellos on their way.
    func loseHellos(_ count: Int) { state.state.withLock { $0.lostHellos = count } }

    func send(_ envelope: Envelope) throws {
        post(.send([Array(envelope.destination.name.utf8), envelope.header, envelope.content]))
    }

    func publish(_ envelope: Envelope) throws {
        post(.publish([Array(envelope.destination.name.utf8), envelope.header, envelope.content]))
    }

    func inject(header: [UInt8], content: [UInt8]) throws {
        let frames = header.count % 5 == 0 ? [header] : [header, content]
        post(.inject([Array(places.program.utf8)] + frames))
    }

    func hand(_ envelope: Envelope) throws {
        post(.inject([Array(places.program.utf8), envelope.header, envelope.content]))
    }

    func injectUnknownKind(_ envelope: Envelope) throws {
        var header = envelope.header
        header[1] = 9
        post(.inject([Array(places.program.utf8), header, envelope.content]))
    }

    private func post(_ order: Order) {
        state.state.withLock { $0.orders.append(order) }
        state.wakeUp.signal()
    }

    func close() {
        state.state.withLock { $0.isClosed = true }
        state.wakeUp.signal()
        thread.join()
    }

    // MARK: The thread

    private struct Relay: ~Copyable {
        let places: Places
        let clock: RunClock
        /// Where the program attaches, in place of the branch.
        var router: Socket
        /// To the branch under the program's name, once there is a program.
        var branch: Socket
        var checker: Socket
        var publisher: Socket
        var subscriber: Socket
        var isAttached = false
        var mayPublish = false
        var waiting: [[[UInt8]]] = []

        init(_ places: Places, clock: RunClock) throws(ZeroMQError) {
            let context = try Context()
            var options = SocketOptions(routerMandatory: true, routerHandover: true)
            options.sendHighWaterMark = 0
            options.receiveHighWaterMark = 0
            var router = try Socket(.router, in: context, options: options)
            try router.bind(to: "tcp://127.0.0.1:*")
            options.routingID = places.program
            let branch = try Socket(.dealer, in: context, options: options)
            options.routingID = places.checker
            var checker = try Socket(.dealer, in: context, options: options)
            options.routingID = nil
            var publisher = try Socket(.xpub, in: context, options: options)
            var subscriber = try Socket(.subscribe, in: context, options: options)
            try checker.connect(to: places.branch)
            try publisher.connect(to: places.publish)
            try subscriber.connect(to: places.subscribe)
            try subscriber.subscribe(to: [])
            let hello = Envelope(
                identity: Identity(
                    flow: Flow(source: places.checker, destination: .agent("")), incarnation: 1,
                    sequence: 0), kind: .hello, type: "hello", sent: clock.now,
                contentEncoding: .json, content: Array(#"{"incarnation":1}"#.utf8))
            _ = try checker.send([[], hello.header, hello.content])
            self.places = places
            self.clock = clock
            self.router = router
            self.branch = branch
            self.checker = checker
            self.publisher = publisher
            self.subscriber = subscriber
        }

        var endpoint: String { router.lastEndpoint }

        mutating func turn(_ shared: Shared) throws(ZeroMQError) {
            var items = [
                router.pollItem(), checker.pollItem(), publisher.pollItem(),
                subscriber.pollItem(), .fileDescriptor(shared.wakeUp.descriptor),
            ]
            if isAttached { items.append(branch.pollItem()) }
            _ = try poll(&items, timeout: .milliseconds(500))
            shared.wakeUp.take()
            try obey(shared)
            while let frames = try router.receive() { try pass(frames, shared) }
            while isAttached, let frames = try branch.receive() {
                note(.toProgram, frames, shared)
                _ = try router.send([Array(places.program.utf8)] + frames)
            }
            while try checker.receive() != nil {}
            while let frames = try publisher.receive() {
                guard frames == [[1]] else { continue }
                mayPublish = true
                try obey(shared)
            }
            while let frames = try subscriber.receive() {
                if frames[0].first != UInt8(ascii: "_") { note(.onTopic, frames, shared) }
            }
        }

        private mutating func obey(_ shared: Shared) throws(ZeroMQError) {
            let orders = shared.state.withLock { state in
                defer { state.orders = [] }
                return state.orders
            }
            for order in orders {
                switch order {
                case .send(let frames): _ = try checker.send(frames, wait: true)
                case .inject(let frames): _ = try router.send(frames)
                case .publish(let frames): waiting.append(frames)
                }
            }
            guard mayPublish else { return }
            for frames in waiting { _ = try publisher.send(frames, wait: true) }
            waiting = []
        }

        /// From the program to the branch.
        private mutating func pass(
            _ frames: [[UInt8]], _ shared: Shared
        ) throws(ZeroMQError) {
            let body = Array(frames.dropFirst())
            shared.state.withLock { _ = $0.routingIDs.insert(frames[0]) }
            note(.fromProgram, body, shared)
            guard frames[0].elementsEqual(places.program.utf8) else { return }
            if !isAttached {
                try branch.connect(to: places.branch)
                isAttached = true
            }
            if body.count == 3, body[0].isEmpty, body[1].dropFirst().first == 6 {
                let isLost = shared.state.withLock { state in
                    state.lostHellos -= 1
                    return state.lostHellos >= 0
                }
                if isLost { return }
            }
            _ = try branch.send(body, wait: true)
        }

        private func note(_ place: Seen.Place, _ frames: [[UInt8]], _ shared: Shared) {
            let envelope: Result<Envelope, WireError>
            if frames.count < 2 {
                envelope = .failure(.truncated)
            } else {
                do throws(WireError) {
                    envelope = .success(
                        try Envelope(
                            header: frames[frames.count - 2], content: frames[frames.count - 1]))
                } catch {
                    envelope = .failure(error)
                }
            }
            // What the checker itself publishes is nothing to see.
            if place == .onTopic, (try? envelope.get().source) == places.checker { return }
            shared.state.withLock { state in
                state.seen.append(
                    Seen(place: place, at: clock.now, frames: frames, envelope: envelope))
            }
        }
    }
}
