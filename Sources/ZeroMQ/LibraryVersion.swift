internal import CZMQ

/// Which libzmq is in use.
public enum LibraryVersion {
    /// As `4.3.4`.
    public static var text: String {
        var (major, minor, patch): (CInt, CInt, CInt) = (0, 0, 0)
        zmq_version(&major, &minor, &patch)
        return "\(major).\(minor).\(patch)"
    }
}
