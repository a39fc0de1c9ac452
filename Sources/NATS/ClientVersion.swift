internal import CNATS

/// Which libnats is in use.
public enum ClientVersion {
    /// As `3.4.1`.
    public static var text: String { String(cString: nats_GetVersion()) }
}
