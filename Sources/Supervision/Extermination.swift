internal import CLinux
internal import Glibc

/// The end of processes that may resist it.
package enum Extermination {
    /// What it took.
    package struct Result: Sendable {
        /// What had to be killed.
        package var killed: [ProcessRecord] = []
        /// What lives on all the same: other users' processes, or stuck in the kernel.
        package var remaining: [ProcessRecord] = []
    }

    /// Kills and reaps all descendants of this process until the kernel says that there are none.
    ///
    /// Only for a process that is a sub-reaper, so that what loses its parent comes to it, and that
    /// has nobody else who reaps.
    package static func killDescendants(limit: Duration = .seconds(10)) -> Result {
        repeated(limit: limit) { table in
            ProcessTable.descendants(of: getpid(), in: table)
        } isDone: { _ in
            var result = synmesh_exit()
            var reaped: pid_t
            repeat { reaped = synmesh_reap(-1, &result) } while reaped > 0
            return reaped == -1
        }
    }

    /// Kills what `find` finds, again and again, until two looks in a row find nothing.
    ///
    /// One look is not enough: between a fork and its exec a process shows no environment.
    static func killAll(
        limit: Duration, find: ([ProcessRecord]) -> [ProcessRecord], reap: () -> Void
    ) -> Result {
        var emptyLooks = 0
        return repeated(limit: limit, find: find) { foundAny in
            reap()
            emptyLooks = foundAny ? 0 : emptyLooks + 1
            return emptyLooks == 2
        }
    }

    private static func repeated(
        limit: Duration, find: ([ProcessRecord]) -> [ProcessRecord], isDone: (Bool) -> Bool
    ) -> Result {
        var killed: Set<ProcessRecord> = []
        let deadline = monotonicNow() + limit.nanoseconds
        var wait: UInt64 = 1
        while true {
            let table = ProcessTable.all()
            let found = find(table)
            kill(found, in: table)
            for record in found where !killed.contains(where: { $0.process == record.process }) {
                killed.insert(record)
            }
            if isDone(!found.isEmpty) { return Result(killed: sorted(killed)) }
            guard monotonicNow() < deadline else {
                return Result(killed: sorted(killed), remaining: found)
            }
            sleepFor(milliseconds: wait)
            wait = min(wait * 2, 10)
        }
    }

    private static func sorted(_ records: Set<ProcessRecord>) -> [ProcessRecord] {
        records.sorted { $0.process < $1.process }
    }

    /// Kills processes, whole groups first: a group dies at one instant and cannot fork its way out.
    private static func kill(_ found: [ProcessRecord], in table: [ProcessRecord]) {
        let ours = Set(found.map(\.process))
        let own = getpgrp()
        // A group with a single stranger in it, such as the shell's pipeline we are part of, is
        // killed one by one.
        let mixed = Set(table.filter { !$0.isZombie && !ours.contains($0.process) }.map(\.group))
        for group in Set(found.map(\.group)) where group > 1 && group != own {
            if !mixed.contains(group) { _ = Glibc.kill(-group, SIGKILL) }
        }
        for record in found { _ = Glibc.kill(record.process, SIGKILL) }
    }
}
