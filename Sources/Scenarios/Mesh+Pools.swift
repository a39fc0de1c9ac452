internal import Analysis
internal import JSON
internal import SharedMemory
internal import Supervision
internal import Threads
internal import Topologies
internal import Wire

/// Shared memory: made before anything is spawned, looked at and removed when everything has ended.
///
/// Agents open what is there; only the orchestrator makes and removes segments, and the guardian
/// removes them where it cannot, since each path is in the manifest first.
extension Mesh {
    /// Makes the segment of each pool.
    func makePools() async throws {
        for pool in topology.pools {
            let path = place.segmentPath(of: pool.name, run: context.run)
            try context.manifest.append(path)
            let layout = PoolLayout(pool)
            do {
                // Reserving memory touches every page of it.
                let segment = try await onDedicatedThread(named: "pool") {
                    try PoolSegment.create(path: path, layout: layout)
                }
                segments.append((pool.name, segment))
            } catch let error as SharedMemoryError {
                throw EnvironmentError(
                    "could not make the pool '\(pool.name)'", reason: error.detail,
                    remedy: error.remedy)
            }
            context.note(
                "pool", ["pool": .string(place.process(pool.name)), "path": .string(path)])
        }
    }

    /// Looks at the pools for the last time, and removes them.
    func removePools() {
        for (name, segment) in segments {
            do throws(SharedMemoryError) {
                let report = PoolReport(
                    name: place.process(name), layout: segment.layout,
                    status: try segment.status())
                context.note("pool_removed", report.fields)
                poolReports.append(report)
            } catch {
                poolProblems.append("the pool '\(name)' could not be looked at: \(error)")
            }
            segment.unlink()
        }
        segments = []
    }

    /// What agents are told of the pools: `SYNMESH_POOLS`.
    static func pools(of topology: Topology, place: MeshPlace, run: String) -> Value {
        .array(
            topology.pools.map { pool in
                [
                    "name": .string(pool.name),
                    "path": .string(place.segmentPath(of: pool.name, run: run)),
                    "wait_ms": Value(pool.wait.wholeMilliseconds),
                    "when_full": .string(pool.whenFull.rawValue),
                ]
            })
    }

    /// The segments that the mesh makes: what the certificate looks for.
    package nonisolated var segmentPaths: [String] {
        topology.pools.map { place.segmentPath(of: $0.name, run: context.run) }
    }
}

extension MeshPlace {
    /// The file of a pool's segment.
    package func segmentPath(of pool: String, run: String) -> String {
        "/dev/shm/synmesh-\(run)-\(process(pool))"
    }
}

extension PoolLayout {
    fileprivate init(_ pool: Topologies.Pool) {
        self.init(
            slotSize: pool.size, slotCount: pool.slots, checksum: Checksum(pool.checksum),
            lease: pool.lease)
    }
}

extension Checksum {
    fileprivate init(_ checksum: PoolChecksum) {
        self =
            switch checksum {
            case .none: .none
            case .write: .write
            case .verify: .verify
            }
    }
}

extension PoolReport {
    fileprivate init(name: String, layout: PoolLayout, status: PoolStatus) {
        self.init(
            name: name, slotSize: layout.slotSize, slots: layout.slotCount,
            loans: Int(clamping: status.loans), reads: Int(clamping: status.reads),
            expired: Int(clamping: status.expired),
            unread: status.slots.count { $0.state == .published && $0.pending > 0 },
            reclaimed: Int(clamping: status.reclaimed),
            corrupted: Int(clamping: status.corrupted), refused: Int(clamping: status.refused))
    }

    fileprivate var fields: [String: Value] {
        [
            "pool": .string(name), "loans": Value(loans), "reads": Value(reads),
            "expired": Value(expired), "unread": Value(unread), "reclaimed": Value(reclaimed),
            "corrupted": Value(corrupted), "refused": Value(refused),
        ]
    }
}
