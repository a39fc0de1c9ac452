internal import Glibc
internal import JSON
public import Moves
internal import Wire

/// Where the agents of a branch live, in a file that outlives its proxy.
///
/// The file is replaced as a whole, so whoever reads it finds what was decided last, or what was before it.
public struct RouteRegistry: Sendable, Hashable {
    /// The file's path.
    public let path: String

    /// More is no registry.
    private static let sizeMax = 16 << 20

    /// Names the file, which need not exist.
    public init(path: String) { self.path = path }

    /// What the file says of each agent; nothing where there is no file.
    ///
    /// - Returns: The routes by agent.
    /// - Throws: `RoutingError` where it cannot be read, or is something else: to go on without it could lead
    ///   messages to where nobody is.
    public func read() throws(RoutingError) -> [String: Route] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else {
            if errno == ENOENT { return [:] }
            throw failure("could not open it", errno)
        }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("could not read it", errno) }
            if count == 0 { break }
            bytes += chunk.prefix(count)
            guard bytes.count <= Self.sizeMax else {
                throw .configuration("\(path): more than \(Self.sizeMax) bytes")
            }
        }
        guard let members = (try? Value(parsing: bytes))?.object else {
            throw .configuration("\(path): no JSON object of routes")
        }
        var routes: [String: Route] = [:]
        for (agent, member) in members {
            guard let route = Route(member) else {
                throw .configuration("\(path): '\(agent)' has no route")
            }
            routes[agent] = route
        }
        return routes
    }

    /// Replaces the file.
    ///
    /// It is with the system when this returns, so a proxy that is killed next has decided nonetheless.
    ///
    /// - Parameter routes: The routes by agent.
    /// - Throws: `RoutingError` where that fails; then the file is as it was.
    public func write(_ routes: [String: Route]) throws(RoutingError) {
        let bytes = Array((Value.object(routes.mapValues(\.json)).canonical + "\n").utf8)
        let draft = path + ".new"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw failure("could not create '\(draft)'", errno) }
        var done = 0
        while done < bytes.count {
            let count = bytes[done...].withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                let code = errno
                close(descriptor)
                throw failure("could not write '\(draft)'", code)
            }
            done += count
        }
        close(descriptor)
        guard rename(draft, path) == 0 else { throw failure("could not replace it", errno) }
    }

    private func failure(_ what: String, _ code: Int32) -> RoutingError {
        .configuration("\(path): \(what): \(String(cString: strerror(code)))")
    }
}
