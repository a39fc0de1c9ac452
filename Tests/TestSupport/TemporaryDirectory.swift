internal import CLinux
internal import Glibc
internal import Synchronization

/// A directory that is gone after the test, or at the latest when the tests' process ends.
package final class TemporaryDirectory: Sendable {
    /// Where it is.
    package let path: String

    /// The directories still there: what a thread of the tested code holds may never be released.
    private static let remaining: Mutex<Set<String>> = {
        atexit {
            for path in TemporaryDirectory.remaining.withLock({ $0 }) { synmesh_remove_tree(path) }
        }
        return Mutex([])
    }()

    /// Makes an empty one.
    package init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/synmesh-tests-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw TestFailure("no directory in \(base)") }
        path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        _ = Self.remaining.withLock { $0.insert(path) }
    }

    deinit {
        synmesh_remove_tree(path)
        _ = Self.remaining.withLock { $0.remove(path) }
    }

    /// The path of a file in it, whether it is there or not.
    package func file(_ name: String) -> String { "\(path)/\(name)" }

    /// Writes a file and returns its path.
    @discardableResult
    package func write(_ text: String, to name: String, mode: UInt32 = 0o644) throws -> String {
        let path = file(name)
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode)
        guard descriptor >= 0 else { throw TestFailure("\(path) cannot be written") }
        defer { close(descriptor) }
        let count = Glibc.write(descriptor, text, text.utf8.count)
        guard count == text.utf8.count else { throw TestFailure("\(path) is not written whole") }
        return path
    }
}
