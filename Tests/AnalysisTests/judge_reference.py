"""Writes judge_reference.json: what scipy and R say of the figures of JudgingTests.swift.

    apt install r-base-core; pip install scipy; python3 judge_reference.py > judge_reference.json

U and the p-value of many figures, shared ranks among them, are scipy's (mannwhitneyu, asymptotic, with its correction
for ties and continuity). The shift and the interval of few figures without shared ranks are R's (wilcox.test,
exact, conf.int). Both take the second series as the one that is judged.
"""

import json
import random
import subprocess

from scipy import stats

random.seed(20260101)


def series(count, low, high, digits, skew=1.0):
    return [round(low + (high - low) * random.random() ** skew, digits) for _ in range(count)]


def by_r(first, second, level):
    script = (
        f"w <- wilcox.test(c({','.join(map(str, second))}), c({','.join(map(str, first))}), "
        f"exact=TRUE, conf.int=TRUE, conf.level={level}); "
        "cat(sprintf('%.17g %.17g %.17g %.17g %.17g', w$statistic, w$p.value, w$estimate, "
        "w$conf.int[1], w$conf.int[2]))")
    out = subprocess.run(["Rscript", "-e", script], capture_output=True, text=True, check=True)
    return [float(word) for word in out.stdout.split()]


many = []
for n, m, digits, skew in [(40, 40, 0, 1), (100, 150, 1, 2), (500, 400, 0, 3), (1_000, 800, 2, 4), (61, 1, 1, 1)]:
    first, second = series(n, 0, 100, digits, skew), series(m, 5, 110, digits, skew)
    test = stats.mannwhitneyu(second, first, method="asymptotic", use_continuity=True)
    many.append({"first": first, "second": second, "u": test.statistic, "p": test.pvalue})

few = []
for n, m, level in [(5, 5, 0.95), (8, 10, 0.95), (12, 9, 0.99), (20, 20, 0.99), (25, 30, 0.99)]:
    first, second = series(n, 0, 100, 6, 2), series(m, 5, 120, 6, 2)
    u, p, shift, low, high = by_r(first, second, level)
    few.append({"first": first, "second": second, "alpha": round(1 - level, 6),
                "u": u, "p": p, "shift": shift, "low": low, "high": high})

print(json.dumps({"many": many, "few": few}, indent=1))
