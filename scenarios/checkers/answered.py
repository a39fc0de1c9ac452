"""A checker of one's own: every ping that 'echo' was delivered is answered by one echo, to who asked.

It reads what `synmesh history cat --json` prints, a record a line, and says pass or fail with a reason.
"""
import json
import sys
from collections import Counter

asked, answered = Counter(), Counter()
for line in sys.stdin:
    record = json.loads(line)
    if record["lane"] != "primary":
        continue
    if record["direction"] == "delivered" and record["agent"] == "echo" and record["type"] == "ping":
        asked[record["source"]] += 1
    if record["direction"] == "sent" and record["agent"] == "echo" and record["type"] == "echo":
        answered[record["destination"]] += 1

wrong = [name for name in asked if asked[name] != answered[name]]
if not asked:
    verdict, reason = "inconclusive", "echo was asked nothing"
elif wrong:
    name = wrong[0]
    verdict, reason = "fail", f"{name} asked {asked[name]} times and was answered {answered[name]} times"
else:
    verdict, reason = "pass", f"all {asked.total()} pings were answered once"
print(json.dumps({"verdict": verdict, "reason": reason}))
