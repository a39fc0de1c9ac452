internal import Glibc

/// Finds programs before they are started, so that "not found" can say where it looked.
public enum ExecutableLookup {
    /// The path of a program.
    ///
    /// - Parameters:
    ///   - executable: A path, when it has a slash in it, or a name to look up.
    ///   - searchPath: Directories separated by colons, as in PATH.
    ///   - directory: What relative paths are relative to; nil: the current directory.
    /// - Throws: `SupervisionError` with code `.executableNotFound` or `.notExecutable`.
    /// - Returns: The path, absolute unless both it and `directory` are relative.
    public static func resolve(
        _ executable: String, searchPath: String?, directory: String? = nil
    ) throws(SupervisionError) -> String {
        let attempt = "could not start \"\(executable)\""
        guard !executable.isEmpty else {
            throw SupervisionError(
                .executableNotFound, attempt: attempt, reason: "no program is named",
                remedy: "Name one.")
        }
        if executable.utf8.contains(UInt8(ascii: "/")) {
            let path = absolute(executable, in: directory)
            if let error = problem(with: path, attempt: attempt) { throw error }
            return path
        }
        let directories = (searchPath ?? "/usr/local/bin:/usr/bin:/bin").utf8
            .split(separator: UInt8(ascii: ":")).compactMap { String($0) }
        var nearMiss: SupervisionError?
        for candidate in directories.map({ absolute("\($0)/\(executable)", in: directory) }) {
            guard let error = problem(with: candidate, attempt: attempt) else { return candidate }
            if error.code == .notExecutable { nearMiss = nearMiss ?? error }
        }
        throw nearMiss
            ?? SupervisionError(
                .executableNotFound, attempt: attempt,
                reason: "there is no such program in \(directories.joined(separator: ", "))",
                remedy: "Install it, correct the name, or give its path.")
    }

    private static func absolute(_ path: String, in directory: String?) -> String {
        guard path.utf8.first != UInt8(ascii: "/"), let directory else { return path }
        return "\(directory)/\(path)"
    }

    private static func problem(with path: String, attempt: String) -> SupervisionError? {
        var status = stat()
        guard stat(path, &status) == 0 else {
            return SupervisionError(
                .executableNotFound, attempt: attempt,
                reason: "\(path): \(String(cString: strerror(errno)))",
                remedy: "Build or install it, or correct the path.")
        }
        guard status.st_mode & S_IFMT == S_IFREG else {
            return SupervisionError(
                .notExecutable, attempt: attempt, reason: "\(path) is not a file",
                remedy: "Name the program inside it.")
        }
        guard access(path, X_OK) == 0 else {
            return SupervisionError(
                .notExecutable, attempt: attempt, reason: "\(path) is not executable",
                remedy: "chmod +x \(path)")
        }
        return nil
    }
}
