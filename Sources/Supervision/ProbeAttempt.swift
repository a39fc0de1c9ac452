internal import CLinux
internal import Glibc

/// One question that is being asked; confined to the prober's thread.
final class ProbeAttempt {
    enum Outcome: Equatable {
        case passed(String)
        case failed(String)

        var hasPassed: Bool { if case .passed = self { true } else { false } }

        var reason: String {
            switch self {
            case .passed(let reason), .failed(let reason): reason
            }
        }
    }

    private enum Stage {
        case command(Child, pipe: CInt)
        case connecting(CInt)
        case answering(CInt)
        case ended
    }

    let deadline: UInt64
    private var stage = Stage.ended
    private var request: [UInt8] = []
    private var received: [UInt8] = []
    /// Whether a program has closed its output: a pipe at its end would be readable for ever.
    private var isSilent = false
    /// What was known at once, such as that a program does not exist.
    private(set) var immediate: Outcome?

    /// Begins to ask.
    ///
    /// - Parameters:
    ///   - rule: What.
    ///   - watch: Of whom; a program gets its environment.
    init(_ rule: ProbeRule, of watch: ProbeWatch) {
        deadline = monotonicNow() + rule.timeout.nanoseconds
        switch rule.test {
        case .command(let words): run(words, watch)
        case .tcp(let host, let port): connect(host, port)
        case .http(let host, let port, let path):
            let shown = host.contains(":") ? "[\(host)]" : host
            request = Array(
                "GET \(path) HTTP/1.0\r\nHost: \(shown):\(port)\r\nConnection: close\r\n\r\n".utf8)
            connect(host, port)
        case .line, .descriptor: immediate = .failed("not heard yet")
        }
    }

    /// What to poll.
    var items: [pollfd] {
        switch stage {
        case .command(let child, let pipe):
            [
                pollfd(fd: child.pidfd, events: Int16(POLLIN), revents: 0),
                // A negative one is left out.
                pollfd(fd: isSilent ? -1 : pipe, events: Int16(POLLIN), revents: 0),
            ]
        case .connecting(let socket): [pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)]
        case .answering(let socket): [pollfd(fd: socket, events: Int16(POLLIN), revents: 0)]
        case .ended: []
        }
    }

    /// Goes on; nil while there is no answer.
    func proceed(now: UInt64) -> Outcome? {
        if let immediate { return immediate }
        let outcome: Outcome? =
            switch stage {
            case .command(let child, let pipe): proceed(child, pipe)
            case .connecting(let socket): proceedConnecting(socket)
            case .answering(let socket): proceedAnswering(socket)
            case .ended: .failed("it was given up")
            }
        if let outcome { return outcome }
        return now >= deadline
            ? .failed("no answer in time" + (tail.isEmpty ? "" : ": \(tail)")) : nil
    }

    /// Ends whatever is left of the question: a program dies with all that is in its group.
    func end() {
        switch stage {
        case .command(let child, let pipe):
            kill(-child.process, SIGKILL)
            let limit = monotonicNow() + 1_000_000_000
            while !OwnChildren.reap(child.process), monotonicNow() < limit {
                sleepFor(milliseconds: 1)
            }
            close(child.pidfd)
            close(pipe)
        case .connecting(let socket), .answering(let socket): close(socket)
        case .ended: break
        }
        stage = .ended
    }

    // MARK: Programs

    private func run(_ words: [String], _ watch: ProbeWatch) {
        var ends: [CInt] = [-1, -1]
        guard synmesh_pipe(&ends) == 0 else {
            immediate = .failed(String(cString: strerror(errno)))
            return
        }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        defer { close(ends[1]) }
        do throws(SupervisionError) {
            var specification = watch.specification
            specification.executable = words.first ?? ""
            specification.arguments = Array(words.dropFirst())
            let spawning = Spawning(
                name: watch.name, incarnation: watch.incarnation, token: watch.token,
                specification: specification)
            stage = .command(try spawning.startProbe(output: ends[1]), pipe: ends[0])
        } catch {
            close(ends[0])
            immediate = .failed(error.reason)
        }
    }

    private func proceed(_ child: Child, _ pipe: CInt) -> Outcome? {
        readAll(from: pipe)
        var result = synmesh_exit()
        guard synmesh_exit_peek(child.process, &result) != 0 else { return nil }
        readAll(from: pipe)
        let said = tail.isEmpty ? "" : ": \(tail)"
        if result.signalled { return .failed("killed by \(signalWords(result.status))\(said)") }
        let reason = "exit code \(result.status)\(said)"
        return result.status == 0 ? .passed(reason) : .failed(reason)
    }

    private func readAll(from pipe: CInt) {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        // A flood must not keep the others from being asked.
        for _ in 0..<64 {
            let count = read(pipe, &buffer, buffer.count)
            if count == 0 { isSilent = true }
            guard count > 0 else { return }
            received = Array((received + buffer.prefix(count)).suffix(512))
        }
    }

    /// The last line that a program wrote.
    private var tail: String {
        guard request.isEmpty else { return "" }
        let line = received.split(separator: UInt8(ascii: "\n")).last ?? []
        return String(decoding: line.suffix(200), as: UTF8.self)
    }

    // MARK: Connections

    private func connect(_ host: String, _ port: UInt16) {
        var version4 = sockaddr_in()
        version4.sin_family = sa_family_t(AF_INET)
        version4.sin_port = port.bigEndian
        var version6 = sockaddr_in6()
        version6.sin6_family = sa_family_t(AF_INET6)
        version6.sin6_port = port.bigEndian
        if inet_pton(AF_INET, host, &version4.sin_addr) == 1 {
            connect(AF_INET, &version4)
        } else if inet_pton(AF_INET6, host, &version6.sin6_addr) == 1 {
            connect(AF_INET6, &version6)
        } else {
            immediate = .failed("\(host) is no address")
        }
    }

    private func connect<Address>(_ family: CInt, _ address: inout Address) {
        let kind = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        let socket = socket(family, kind | CInt(SOCK_NONBLOCK.rawValue), 0)
        guard socket >= 0 else {
            immediate = .failed(String(cString: strerror(errno)))
            return
        }
        let size = socklen_t(MemoryLayout<Address>.size)
        let code = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(socket, $0, size)
            }
        }
        guard code == 0 || errno == EINPROGRESS else {
            immediate = .failed(String(cString: strerror(errno)))
            close(socket)
            return
        }
        stage = .connecting(socket)
    }

    private func proceedConnecting(_ socket: CInt) -> Outcome? {
        var item = pollfd(fd: socket, events: Int16(POLLOUT), revents: 0)
        guard poll(&item, 1, 0) == 1 else { return nil }
        var code: CInt = 0
        var size = socklen_t(MemoryLayout<CInt>.size)
        getsockopt(socket, SOL_SOCKET, SO_ERROR, &code, &size)
        guard code == 0 else { return .failed(String(cString: strerror(code)).lowercased()) }
        guard !request.isEmpty else { return .passed("connected") }
        // Shorter than any socket's buffer, so it goes in one piece or not at all.
        let count = send(socket, request, request.count, CInt(MSG_NOSIGNAL))
        guard count == request.count else { return .failed("the request was not taken") }
        stage = .answering(socket)
        return nil
    }

    private func proceedAnswering(_ socket: CInt) -> Outcome? {
        var buffer = [UInt8](repeating: 0, count: 1_024)
        let count = read(socket, &buffer, buffer.count)
        if count < 0 {
            return errno == EAGAIN || errno == EINTR
                ? nil : .failed(String(cString: strerror(errno)).lowercased())
        }
        received += buffer.prefix(count)
        // "HTTP/1.1 200 OK"
        let line = received.prefix { $0 != UInt8(ascii: "\r") && $0 != UInt8(ascii: "\n") }
        guard line.count < received.count else {
            return count == 0 || received.count > 4_096 ? .failed("no HTTP answer") : nil
        }
        let words = line.split(separator: UInt8(ascii: " "))
        guard words.count >= 2, words[0].starts(with: "HTTP/".utf8),
            let status = Int(String(decoding: words[1], as: UTF8.self))
        else { return .failed("no HTTP answer") }
        return (200...399).contains(status)
            ? .passed("status \(status)") : .failed("status \(status)")
    }
}
