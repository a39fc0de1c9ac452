"""Prints the table of RankTestTests.swift: what scipy says of the same figures.

    pip install scipy; python3 statistics_by_scipy.py

Without shared ranks the p-value is that of scipy's exact method; with them, that of all ways to deal
the figures out (scipy's permutation_test), which our exact distribution counts as well. The interval is
checked by its definition: all shifts that the exact test does not reject at the level.
"""

import itertools

import numpy
from scipy import stats

CASES = [
    ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]),
    ([1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0]),
    ([0.91, 0.95, 0.97, 1.02, 0.93], [0.90, 0.99, 0.96, 1.05, 1.01]),
    ([0.91, 0.95, 0.97, 1.02, 0.93, 0.94, 0.98], [0.80, 0.79, 0.86, 0.92, 0.81, 0.88, 0.83]),
    ([1.0, 1.0, 2.0, 3.0], [2.0, 3.0, 3.0, 4.0]),
    ([5.0, 5.0, 5.0], [5.0, 5.0, 5.0, 5.0]),
    ([3.1, 2.7, 2.9], [3.0, 3.6, 3.3, 3.9, 3.5]),
]


def probability(first, second):
    if len(set(first + second)) == len(first + second):
        return stats.mannwhitneyu(first, second, method="exact").pvalue
    ranks = stats.rankdata(first + second)
    count = len(first)
    observed = ranks[:count].sum()
    sums = [sum(chosen) for chosen in itertools.combinations(ranks, count)]
    below = numpy.mean([s <= observed + 1e-9 for s in sums])
    above = numpy.mean([s >= observed - 1e-9 for s in sums])
    return min(1.0, 2 * min(below, above))


def interval(first, second, alpha=0.05):
    """The ends of the set of shifts that are not rejected, by trying one between each two."""
    differences = sorted(b - a for a in first for b in second)
    distinct = sorted(set(differences))
    outside = [distinct[0] - 1] + distinct + [distinct[-1] + 1]
    kept = []
    for low, high in zip(outside, outside[1:]):
        middle = (low + high) / 2
        shifted = [b - middle for b in second]
        if stats.mannwhitneyu(first, shifted, method="exact").pvalue > alpha:
            kept.append((low, high))
    if kept[0][0] < distinct[0]:
        return None
    return kept[0][0], kept[-1][1]


for first, second in CASES:
    shift = numpy.median([b - a for a in first for b in second])
    has_ties = len(set(first + second)) < len(first + second)
    between = None if has_ties else interval(first, second)
    print(first, second, f"p={probability(first, second):.10f}", f"shift={shift:.10f}", between)

first = [float(i * 37 % 101) for i in range(40)]
second = [float(i * 53 % 101) + 12 for i in range(40)]
print("normal", stats.mannwhitneyu(first, second, method="asymptotic").pvalue)
print("adjusted", stats.false_discovery_control([0.001, 0.02, 0.03, 0.04, 0.8]))
