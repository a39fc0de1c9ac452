public import JSON
internal import Wire

extension Route {
    /// As messages and files have it, such as `{"epoch":7,"transport":"nats"}`.
    public var json: Value {
        ["transport": .string(transport.rawValue), "epoch": Value(epoch)]
    }

    /// Reads what `json` wrote; nil where it is something else.
    public init?(_ value: Value) {
        guard let transport = value["transport"]?.string.flatMap(Transport.init(rawValue:)),
            let epoch = value["epoch"]?.integer.flatMap(UInt64.init(exactly:))
        else { return nil }
        self.init(transport, epoch: epoch)
    }
}
