internal import Control
internal import JSON
internal import Synchronization
internal import Wire
internal import ZeroMQ

private let probes = Atomic<Int>(0)

/// Whether a branch proxy answers at an endpoint: says hello as nobody in particular, again and
/// again, until there is an answer or the time is up.
///
/// Blocks the calling thread.
///
/// - Parameters:
///   - endpoint: The ROUTER.
///   - timeout: The longest wait.
/// - Returns: The name of the branch that answered; nil when none did.
public func helloProbe(endpoint: String, timeout: Duration) -> String? {
    let number = probes.add(1, ordering: .relaxed).newValue
    let hello = Envelope(
        identity: Identity(
            flow: Flow(source: "_probe.\(number)", destination: .agent("")), incarnation: 1,
            sequence: 0), kind: .hello, type: "hello", sent: 0, contentEncoding: .json)
    do throws(ZeroMQError) {
        let context = try Context()
        var dealer = try Socket(
            .dealer, in: context, options: SocketOptions(routingID: "_probe.\(number)"))
        try dealer.connect(to: endpoint)
        let end = ContinuousClock.now + timeout
        while ContinuousClock.now < end {
            _ = try dealer.send([[], hello.header, Array("{}".utf8)])
            var items = [dealer.pollItem()]
            _ = try poll(
                &items, timeout: min(.milliseconds(200), max(.zero, end - .now)))
            while let frames = try dealer.receive() {
                guard frames.count == 2, let view = HeaderView(frames[0]), view.kind == .hello,
                    let answer = try? Value(parsing: frames[1])
                else { continue }
                return answer["branch"]?.string ?? ""
            }
        }
    } catch {
        // No such endpoint: nobody answers there.
    }
    return nil
}

/// Whether a ROUTER of the user's own passes messages on: says something to itself through it, each
/// time as somebody new, until it comes back or the time is up.
///
/// Blocks the calling thread.
///
/// - Parameters:
///   - endpoint: The ROUTER.
///   - timeout: The longest wait.
/// - Returns: Whether it came back.
public func selfProbe(endpoint: String, timeout: Duration) -> Bool {
    do throws(ZeroMQError) {
        let context = try Context()
        let end = ContinuousClock.now + timeout
        while ContinuousClock.now < end {
            let name = "synmesh-probe-\(UInt64.random(in: 0 ... .max))"
            var dealer = try Socket(
                .dealer, in: context, options: SocketOptions(routingID: name))
            try dealer.connect(to: endpoint)
            let hello = SeedFrame.note(.hello, toOneself: name, 1, number: 0, at: 0)
            _ = try dealer.send([hello])
            let until = min(end, .now + .milliseconds(500))
            while ContinuousClock.now < until {
                var items = [dealer.pollItem()]
                _ = try poll(&items, timeout: max(.zero, until - .now))
                while let frames = try dealer.receive() {
                    if case .envelope(let envelope)? = frames.last.flatMap({
                        try? SeedFrame(parsing: $0)
                    }), envelope.source == name {
                        return true
                    }
                }
            }
        }
    } catch {
        // No such endpoint: nobody answers there.
    }
    return false
}
