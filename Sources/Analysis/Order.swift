/// Order within one flow.
package enum Order {
    /// The positions of the values that stand out of order: the fewest whose removal leaves the
    /// rest increasing (the complement of a longest increasing subsequence).
    ///
    /// Of a swapped pair the one that came behind its successor is named.
    ///
    /// - Complexity: O(n) for values in order, else O(n log n). Values are distinct.
    package static func displaced<Value: Comparable>(_ values: [Value]) -> [Int] {
        guard !isIncreasing(values) else { return [] }
        // Patience sorting from the back: `heads[k]` is where the best chain of k + 1 values
        // begins, best being the largest first value. Going backwards makes ties fall on the value
        // that came late.
        var heads: [Int] = []
        var next = [Int](repeating: -1, count: values.count)
        for index in values.indices.reversed() {
            var low = 0
            var high = heads.count
            while low < high {
                let middle = (low + high) / 2
                if values[heads[middle]] > values[index] { low = middle + 1 } else { high = middle }
            }
            next[index] = low > 0 ? heads[low - 1] : -1
            if low == heads.count { heads.append(index) } else { heads[low] = index }
        }
        var isInOrder = [Bool](repeating: false, count: values.count)
        var index = heads.last ?? -1
        while index >= 0 {
            isInOrder[index] = true
            index = next[index]
        }
        return values.indices.filter { !isInOrder[$0] }
    }

    private static func isIncreasing<Value: Comparable>(_ values: [Value]) -> Bool {
        for index in values.indices.dropFirst() where values[index - 1] >= values[index] {
            return false
        }
        return true
    }
}
