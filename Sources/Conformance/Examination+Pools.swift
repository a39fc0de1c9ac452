internal import JSON
internal import SharedMemory
internal import Wire

extension Examination {
    /// Shared memory, where the program says that it reads it.
    func checkPools() async {
        var pool: Pool?
        await check(.pools) {
            let status = try await self.bench.command("status")
            let names = status["pools"]?.array?.compactMap(\.string) ?? []
            guard names.contains(Bench.pool) else {
                throw Skipped("its status does not name the pool '\(Bench.pool)'")
            }
            let opened = try Pool(opening: self.bench.poolPath, name: Bench.pool)
            pool = opened
            for round in 0..<4 {
                let bytes = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* (round + 3) >> 2) }
                let ping = self.makePing(at: try self.publish(bytes, in: opened))
                try self.line.send(ping)
                let echo = try await self.echo(of: ping, "a ping that points to shared memory")
                try require(
                    echo.content == bytes,
                    "the echo of 100000 bytes in shared memory has \(echo.content.count) other "
                        + "ones")
            }
        }
        await check(.stalePools) {
            guard let pool else { throw Skipped("it does not read shared memory") }
            let bytes = [UInt8](repeating: 7, count: 1_000)
            var gone = try self.publish(bytes, in: pool)
            gone.generation += 1
            let altered = try self.publish(bytes, in: pool)
            pool.plantAlteration(
                of: SlotReference(
                    slot: altered.slot, generation: altered.generation, size: altered.size,
                    digest: altered.digest))
            for (descriptor, what) in [(gone, "of another generation"), (altered, "altered")] {
                let ping = self.makePing(at: descriptor)
                try self.line.send(ping)
                try await self.echo(of: self.ping(), "a ping behind a slot that was \(what)")
                try require(
                    self.echoes(of: ping).isEmpty, "it used the content of a slot that was \(what)")
            }
        }
    }

    /// Writes bytes for one reader; a slot must be free again when its reader has read.
    private func publish(_ bytes: [UInt8], in pool: Pool) throws -> PointCloudDescriptor {
        guard let loan = try pool.loan(byteCount: bytes.count) else {
            throw Broken("the slots that it has read are still in use")
        }
        loan.withBytes { $0.copyBytes(from: bytes) }
        let reference = try loan.publish(size: bytes.count, readers: 1)
        return PointCloudDescriptor(
            pool: Bench.pool, slot: reference.slot, generation: reference.generation,
            size: reference.size, digest: reference.digest, points: 0)
    }

    private func makePing(at descriptor: PointCloudDescriptor) -> Envelope {
        makePing(content: Array(descriptor.json.canonical.utf8), encoding: .descriptor)
    }
}
