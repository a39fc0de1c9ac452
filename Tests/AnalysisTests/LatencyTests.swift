import JSON
import Recording
import Testing
import Wire

@testable import Analysis

@Suite struct LatencyTests {
    @Test(
        "Percentiles are exact, by nearest rank",
        arguments: [
            ([5], 5, 5, 5), ([1, 2], 1, 2, 2), (Array(1...100), 50, 99, 100),
            (Array(1...101), 51, 100, 101), ([7, 7, 7], 7, 7, 7),
            // Seven of ten a hundred times worse: the median shows it.
            ([1, 1, 1, 100, 100, 100, 100, 100, 100, 100], 100, 100, 100),
        ] as [([UInt64], Double, Double, Double)])
    func percentiles(_ samples: [UInt64], _ p50: Double, _ p99: Double, _ longest: Double) {
        let percentiles = Percentiles(ofNanoseconds: samples.reversed().map { $0 * 1_000 })
        #expect(
            percentiles
                == Percentiles(
                    count: samples.count, p50Microseconds: p50, p99Microseconds: p99,
                    maxMicroseconds: longest))
    }

    @Test("Nothing has no percentiles, and no ratio")
    func nothing() {
        #expect(Percentiles(ofNanoseconds: []) == nil)
        #expect(Latency.measure([]).p50Ratio == nil)
        #expect(Latency.measure(SyntheticMesh().all).p50Ratio == nil)
    }

    @Test("Deliveries are measured per transport, within the window")
    func measure() {
        var mesh = SyntheticMesh()
        for var record in SyntheticMesh(transport: "nats").all.flatMap(\.records) {
            record.lane = .shadow
            record.observed += 1_000
            mesh.append(record)
        }
        let latency = Latency.measure(mesh.all)
        #expect(latency.transports["zmq"]?.count == 2_000)
        #expect(latency.transports["zmq"]?.maxMicroseconds == 0.5)
        #expect(latency.p50Ratio == 3 && latency.p99Ratio == 3)
        #expect(Latency.measure(mesh.all, lane: .primary).transports["nats"] == nil)
        let start = SyntheticMesh.start
        #expect(Latency.measure(mesh.all, window: start...start).transports["zmq"]?.count == 1)
    }
}
