internal import CLinux
internal import Glibc

/// The path of a program of this package, which is built next to the tests.
package func builtProgram(_ name: String) throws -> String {
    var bytes = [CChar](repeating: 0, count: 4_096)
    let count = readlink("/proc/self/exe", &bytes, bytes.count - 1)
    // The tests' own executable, or a bundle's inside it.
    var directory = String(
        decoding: bytes.prefix(max(count, 0)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    while let slash = directory.utf8.lastIndex(of: UInt8(ascii: "/")) {
        directory = String(directory[..<slash])
        if access("\(directory)/\(name)", X_OK) == 0 { return "\(directory)/\(name)" }
    }
    let built = ".build/debug/\(name)"
    guard access(built, X_OK) == 0 else { throw TestFailure("\(name) is not built") }
    return built
}

/// Starts a program in a process group of its own.
///
/// Not Foundation's `Process`: it notices an end only when every copy of a socket is closed, and
/// what is spawned elsewhere at the same moment inherits one.
///
/// - Parameters:
///   - arguments: The program, looked up in PATH when it has no slash, and its arguments.
///   - environment: All of its environment, as `NAME=value`.
///   - output: What its stdout and stderr become; stays the caller's.
/// - Returns: The process, for the caller to reap.
/// - Throws: `TestFailure` when it cannot be started.
package func spawn(
    _ arguments: [String], environment: [String], output: Int32
) throws -> Int32 {
    var words: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) } + [nil]
    var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
    defer { for text in words + variables { free(text) } }
    var process: pid_t = 0
    let code = words.withUnsafeMutableBufferPointer { words in
        variables.withUnsafeMutableBufferPointer { variables in
            var request = synmesh_spawn_request()
            request.executable = UnsafePointer(words[0])
            request.arguments = UnsafePointer(words.baseAddress)
            request.environment = UnsafePointer(variables.baseAddress)
            request.output = output
            request.kept = -1
            request.own_group = true
            return synmesh_spawn(&request, &process)
        }
    }
    guard code == 0 else {
        throw TestFailure(
            "\(arguments[0]) could not be started: \(String(cString: strerror(code)))")
    }
    return process
}

/// What a program writes until it ends, which is within a minute.
///
/// - Throws: `TestFailure` with the end of its output when it ends with anything but 0.
package func output(of words: [String]) throws -> [UInt8] {
    let line = (["timeout", "60"] + words).map { "'\($0)'" }.joined(separator: " ")
    guard let pipe = popen("\(line) 2>&1", "r") else { throw TestFailure("no pipe to \(line)") }
    var output: [UInt8] = []
    var block = [UInt8](repeating: 0, count: 65_536)
    while true {
        let count = fread(&block, 1, block.count, pipe)
        if count == 0 { break }
        output += block[..<count]
    }
    let status = pclose(pipe)
    guard status == 0 else {
        let text = String(decoding: output.suffix(2_000), as: UTF8.self)
        throw TestFailure("\(line) (status \(status)): \(text)")
    }
    return output
}
