import CLinux
import Control
import Glibc
import JSON
import Recording
import Routing
import Synchronization
import Wire
import ZeroMQ

/// The process that hosts one proxy: `synmesh-node branch|topics|bridge CONFIGURATION.json`.
@main
struct Program {
    static func main() {
        // A reader of the log that went away is no reason to stop routing.
        signal(SIGPIPE, SIG_IGN)
        do throws(Failure) {
            try run(CommandLine.arguments)
        } catch {
            write("synmesh-node: \(error.message)\n", to: STDERR_FILENO)
            exit(error.status)
        }
    }

    private static func run(_ arguments: [String]) throws(Failure) {
        guard arguments.count == 3, let role = Role(rawValue: arguments[1]) else {
            throw .configuration("usage: synmesh-node branch|topics|bridge CONFIGURATION.json")
        }
        let path = arguments[2]
        let bytes = try read(path)
        let value: Value
        do throws(ParseError) {
            value = try Value(parsing: bytes)
        } catch {
            throw .configuration("\(path): \(error)")
        }
        let environment = try ChildEnvironment()
        do throws(RoutingError) {
            switch role {
            case .branch:
                try serve(environment, BranchProxy.self, try BranchConfiguration(value))
            case .topics:
                try serve(environment, TopicProxy.self, try TopicConfiguration(value))
            case .bridge:
                try serve(environment, BranchBridge.self, try BridgeConfiguration(value))
            }
        } catch {
            if case .configuration(let reason) = error {
                throw .configuration("\(path): \(reason)")
            }
            throw .environment(error.description)
        }
    }

    private enum Role: String {
        case branch, topics, bridge
    }

    private static func serve<Served: Node>(
        _ environment: ChildEnvironment, _ type: Served.Type, _ configuration: Served.Configuration
    ) throws(RoutingError) {
        let signals = try catchSignals()
        let context = try environment.context()
        let node = try type.init(
            configuration,
            in: Surroundings(
                context: context, history: try environment.history(of: configuration.name),
                clock: environment.clock,
                control: try environment.control(
                    role: type.role, name: configuration.name, in: context),
                incarnation: environment.incarnation, log: log))
        let places = node.endpoints.sorted { $0.key < $1.key }.map { ", \($0.key) at \($0.value)" }
        log("\(type.role) \(configuration.name)" + places.joined())
        try node.announce()
        try node.run(stop: signals)
    }

    /// Before any thread is made: all of them inherit what is blocked here.
    private static func catchSignals() throws(RoutingError) -> Int32 {
        let signals = [SIGTERM, SIGINT]
        let descriptor = synmesh_signalfd(signals, signals.count)
        guard descriptor >= 0 else { throw .control(.thread(errno)) }
        return descriptor
    }

    private static func read(_ path: String) throws(Failure) -> [UInt8] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw .configuration("\(path): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= configurationLengthMax {
            let count = Glibc.read(descriptor, &buffer, buffer.count)
            guard count >= 0 else {
                throw .configuration("\(path): \(String(cString: strerror(errno)))")
            }
            guard count > 0 else { return bytes }
            bytes.append(contentsOf: buffer[..<count])
        }
        throw .configuration("\(path): larger than \(configurationLengthMax) bytes")
    }

    private static let configurationLengthMax = 16 << 20

    private static let unwritten = Mutex(0)

    /// Writes one line of the log at once or, when its reader does not keep up, not at all.
    ///
    /// The next line that fits says how many are missing. Routing never waits for its log.
    @Sendable private static func log(_ line: String) {
        unwritten.withLock { unwritten in
            var item = pollfd(fd: STDOUT_FILENO, events: Int16(POLLOUT), revents: 0)
            guard poll(&item, 1, 0) == 1 else {
                unwritten += 1
                return
            }
            // A pipe that is ready takes this many bytes without blocking.
            let text = String(decoding: line.utf8.prefix(Int(PIPE_BUF) - 64), as: UTF8.self)
            let missing = unwritten > 0 ? "(\(unwritten) lines were lost here) " : ""
            unwritten = 0
            write(missing + text + "\n", to: STDOUT_FILENO)
        }
    }

    private static func write(_ text: String, to descriptor: Int32) {
        // What cannot be written cannot be told to anybody either.
        let bytes = Array(text.utf8)
        _ = bytes.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
    }
}
