/// What a test needs could not be had.
package struct TestFailure: Error, CustomStringConvertible {
    /// Why not.
    package let description: String

    /// Says why not.
    package init(_ description: String) { self.description = description }
}
