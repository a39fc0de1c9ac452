"""Compares canonical JSON with what the `rfc8785` library makes of the same documents.

Usage: canonical.py FILE
Lines by twos: a document as anybody may write it, and its canonical form. Prints how many there are,
and the first few that differ.
"""

import json
import sys

try:
    import rfc8785
except ImportError:
    sys.exit("the Python module 'rfc8785' is missing: run `make deps`")

count, different = 0, []
with open(sys.argv[1], "rb") as lines:
    for document in lines:
        canonical = next(lines).rstrip(b"\n")
        count += 1
        expected = rfc8785.dumps(json.loads(document))
        if canonical != expected:
            different.append([canonical.decode(), expected.decode()])
print(json.dumps({"count": count, "different": different[:5]}))
