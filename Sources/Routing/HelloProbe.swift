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
