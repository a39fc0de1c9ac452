internal import Glibc

/// How thoroughly to test, where more takes long: a number in the environment, else the usual one.
package func thoroughness(_ name: String, usually usual: Int) -> Int {
    getenv(name).flatMap { Int(String(cString: $0)) } ?? usual
}
