extension Examination {
    /// Shared memory, where the program says that it reads it.
    func checkPools() async {
        for clause in [Clause.pools, .stalePools] {
            await check(clause) { throw Skipped("the program's status names no pool") }
        }
    }
}
