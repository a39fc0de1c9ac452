// `stdout` is a global variable to the compiler, and this is the only place that names it.
@preconcurrency internal import Glibc

/// What the program says to people: one line at a time, complete or not at all.
enum Output {
    /// Makes what the program prints by other means appear line by line too, although its output is
    /// a pipe.
    static func makeLineBuffered() {
        setvbuf(stdout, nil, _IOLBF, 0)
        setvbuf(stderr, nil, _IOLBF, 0)
    }

    /// A line of the log.
    static func log(_ line: String) { write(line, to: STDOUT_FILENO) }

    /// A line about why the program ends.
    static func error(_ line: String) { write(line, to: STDERR_FILENO) }

    private static func write(_ line: String, to descriptor: Int32) {
        let bytes = Array((line + "\n").utf8)
        var offset = 0
        while offset < bytes.count {
            let written = bytes.withUnsafeBytes {
                Glibc.write(descriptor, $0.baseAddress?.advanced(by: offset), bytes.count - offset)
            }
            // Whoever read the log is gone: that is no reason to stop.
            if written <= 0 && errno != EINTR { return }
            offset += max(written, 0)
        }
    }
}
