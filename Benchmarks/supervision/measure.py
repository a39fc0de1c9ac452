#!/usr/bin/env python3
"""What supervision promises, measured: `measure.py path/to/synmesh [--only CASE] [--quick]`.

Each case prints one row: what was measured, the figure, the bar, and whether it is met. Where honcho,
supervisord or circus are installed (`pip install honcho supervisor circus`), children of the same kinds
are given to them, too. Exit code 1 when one of ours is missed.
"""

import argparse
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

missed = []
arguments = None


def row(case, figure, bar="", met=None):
    mark = "" if met is None else ("ok" if met else "MISSED")
    print(f"{case:<58} {figure:>14} {bar:>12} {mark}", flush=True)
    if met is False:
        missed.append(case)


def processes():
    """(pid, command line) of all that runs; what has ended and waits to be reaped does not."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", "rb") as file:
                if file.read().rpartition(b")")[2].split()[0] == b"Z":
                    continue
            with open(f"/proc/{entry}/cmdline", "rb") as file:
                yield int(entry), file.read().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue


def marked(mark):
    return [pid for pid, line in processes() if mark in line and "measure.py" not in line]


def wait_until(condition, limit=30.0, what="it"):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{what} did not come in time")
        time.sleep(0.002)


class Place:
    """A folder with nothing else's meshes."""

    def __init__(self):
        self.path = tempfile.mkdtemp(prefix="sm-")
        self.environment = dict(os.environ, XDG_RUNTIME_DIR=self.path)

    def write(self, name, text):
        path = os.path.join(self.path, name)
        with open(path, "w") as file:
            file.write(text)
        return path

    def synmesh(self, *words):
        return subprocess.run(
            [arguments.synmesh, *words], env=self.environment, cwd=self.path,
            capture_output=True, text=True, timeout=180)

    def up(self, topology):
        result = self.synmesh(
            "up", "-d", "--wait", topology, "--logs", os.path.join(self.path, "logs"))
        if result.returncode != 0:
            raise SystemExit(result.stderr)

    def record(self):
        for folder in os.listdir(os.path.join(self.path, "synmesh")):
            path = os.path.join(self.path, "synmesh", folder, "mesh.json")
            if os.path.exists(path):
                with open(path) as file:
                    return json.load(file)

    def remove(self):
        shutil.rmtree(self.path, ignore_errors=True)


def stubborn(mark):
    """Children that resist; each leaves a `sleep` with the mark running."""
    sleep = f"sleep {mark}"
    return {
        "plain": f"exec {sleep}",
        "ignores": f"trap '' TERM INT HUP; while :; do {sleep}; done",
        "leaves": f"setsid sh -c 'trap \"\" TERM; {sleep}' & {sleep}",
        "forks": f"(setsid sh -c '{sleep} & {sleep}' &) ; {sleep}",
    }


def yaml(children, extra=""):
    lines = ["synmesh: 1", "name: measured", "processes:"]
    for name, script in children.items():
        lines += [f"  {name}:", f"    command: [sh, -c, {json.dumps(script)}]"]
        lines += [f"    {line}" for line in extra.splitlines()]
    return "\n".join(lines) + "\n"


def mark_of(case):
    return f"98{os.getpid()}.{case}{int(time.monotonic() * 1000) % 100000}"


def shipped(mark):
    """The children of topologies/stubborn.yaml, which sleep for as long as the mark says."""
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with open(os.path.join(root, "topologies", "stubborn.yaml")) as file:
        return file.read().replace("1000", mark)


def survivors():
    for victim in ["orchestrator", "guardian", "down"]:
        place = Place()
        mark = mark_of(1)
        place.up(place.write("m.yaml", shipped(mark)))
        # Each of the eight that sleep, and what two of them start.
        wait_until(lambda: len(marked(mark)) >= 8, what="the children")
        if victim == "down":
            result = place.synmesh("down")
            left = len(marked(mark))
            row(f"survivors after {victim}", str(left), "0", left == 0 and result.returncode == 0)
        else:
            os.kill(place.record()[victim]["process"], signal.SIGKILL)
            begin = time.monotonic()
            time.sleep(0.1)
            left = len(marked(mark))
            wait_until(lambda: not marked(mark), what="the end of the children")
            row(f"survivors 100 ms after SIGKILL of the {victim}", str(left), "0", left == 0)
            row(f"  all gone after, ms", f"{(time.monotonic() - begin) * 1000:.0f}")
        place.remove()
    for name, start in others().items():
        place = Place()
        mark = mark_of(2)
        process = start(place, stubborn(mark), 1)
        wait_until(lambda: len(marked(mark)) >= 6, what=f"the children of {name}")
        process.kill()
        process.wait()
        time.sleep(2)
        row(f"  {name}: survivors 2 s after its SIGKILL", str(len(marked(mark))))
        end(mark, place)
        process = start(place, stubborn(mark), 1)
        wait_until(lambda: len(marked(mark)) >= 6, what=f"the children of {name}")
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
        row(f"  {name}: survivors after its SIGTERM", str(len(marked(mark))))
        end(mark, place)
        place.remove()


def end(mark, place):
    """Kills what another tool left: what sleeps, and the scripts that would start it again."""
    quiet = 0
    while quiet < 3:
        left = marked(mark) + marked(place.path)
        quiet = 0 if left else quiet + 1
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                pass
        time.sleep(0.01)


def others():
    """The tools that are installed, and how each is given children; grace in seconds."""

    def honcho(place, children, grace):
        file = place.write("Procfile", "".join(f"{n}: {s}\n" for n, s in children.items()))
        return subprocess.Popen(
            ["honcho", "-f", file, "start"], cwd=place.path, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)

    def supervisord(place, children, grace):
        lines = ["[supervisord]", "nodaemon=true", f"logfile={place.path}/s.log",
                 f"pidfile={place.path}/s.pid", f"childlogdir={place.path}"]
        for number, (name, script) in enumerate(children.items()):
            file = place.write(f"child{number}.sh", script + "\n")
            lines += [f"[program:{name}]", f"command=sh {file}", f"stopwaitsecs={grace}",
                      "stopasgroup=true", "killasgroup=true", "startsecs=0",
                      "autorestart=true", f"stdout_logfile={place.path}/{name}.out"]
        file = place.write("s.conf", "\n".join(lines) + "\n")
        return subprocess.Popen(
            ["supervisord", "-c", file], cwd=place.path, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)

    def circus(place, children, grace):
        lines = ["[circus]", f"endpoint=ipc://{place.path}/c1", f"pubsub_endpoint=ipc://{place.path}/c2",
                 "check_delay=0.1", "warmup_delay=0"]
        for number, (name, script) in enumerate(children.items()):
            file = place.write(f"child{number}.sh", script + "\n")
            lines += [f"[watcher:{name}]", f"cmd=sh {file}", f"graceful_timeout={grace}"]
        file = place.write("c.ini", "\n".join(lines) + "\n")
        return subprocess.Popen(
            ["circusd", file], cwd=place.path, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True)

    found = {"honcho": honcho, "supervisord": supervisord, "circusd": circus}
    return {name: start for name, start in found.items() if shutil.which(name)}


def down():
    place = Place()
    mark = mark_of(3)
    script = f"trap '' TERM INT HUP; while :; do sleep {mark}; done"
    children = {f"stubborn-{n}": script for n in range(20)}
    place.up(place.write("m.yaml", yaml(children, "grace: 1s")))
    wait_until(lambda: len(marked(f"sleep {mark}")) >= 20, what="the children")
    begin = time.monotonic()
    result = place.synmesh("down")
    took = time.monotonic() - begin
    row("down with 20 stubborn children, grace 1 s, s", f"{took:.2f}", "<= 1.50",
        took <= 1.5 and result.returncode == 0)
    place.remove()


def replacement_of(place, kill_count):
    file = os.path.join(place.path, "starts")

    def starts():
        try:
            with open(file) as text:
                return [line.split() for line in text.read().splitlines() if line.count(" ") == 1]
        except OSError:
            return []

    times = []
    for number in range(kill_count):
        wait_until(lambda: len(starts()) > number, what="a start")
        pid = int(starts()[number][0])
        begin = time.clock_gettime_ns(time.CLOCK_REALTIME)
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(starts()) > number + 1, what="the replacement")
        times.append((int(starts()[number + 1][1]) - begin) / 1e6)
    return statistics.median(times)


def replacement():
    count = 5 if arguments.quick else 21
    # The child says when it is there, so the figure has the start of a shell in it.
    script = "echo $$ $(date +%s%N) >> {}/starts; exec sleep 1000"
    place = Place()
    restart = "restart: {policy: always, backoff: 0s, max_restarts: 1000}"
    place.up(place.write("m.yaml", yaml({"child": script.format(place.path)}, restart)))
    figure = replacement_of(place, count)
    row("crash to replacement, median, ms", f"{figure:.1f}", "<= 20", figure <= 20)
    place.synmesh("down")
    place.remove()
    for name, start in others().items():
        if name == "honcho":  # It restarts nothing.
            continue
        place = Place()
        process = start(place, {"child": script.format(place.path)}, 1)
        row(f"  {name}: crash to replacement, median, ms", f"{replacement_of(place, 3):.1f}")
        process.terminate()
        process.wait()
        place.remove()


BURST = """
import os, sys, time
lines = b"".join(b"%07d %s\\n" % (n, b"x" * 55) for n in range(200000)) + b"unfinished"
begin = time.monotonic()
rest = memoryview(lines)
while rest:
    rest = rest[os.write(1, rest[:65536]):]
open(sys.argv[1], "w").write(str(time.monotonic() - begin))
"""


def burst():
    count = 3 if arguments.quick else 7
    place = Place()
    script = place.write("burst.py", BURST)
    took = os.path.join(place.path, "took")
    plain, ours = [], []
    for number in range(count):
        pipe = subprocess.Popen([sys.executable, script, took], stdout=subprocess.PIPE)
        while os.read(pipe.stdout.fileno(), 65536):
            pass
        pipe.wait()
        plain.append(float(open(took).read()))
        os.unlink(took)
        topology = place.write(
            "m.yaml", "synmesh: 1\nname: burst\nprocesses:\n"
            f"  burst: {{ command: [{sys.executable}, {script}, {took}] }}\n")
        place.up(topology)
        wait_until(lambda: os.path.exists(took) and open(took).read(), what="the burst")
        ours.append(float(open(took).read()))
        os.unlink(took)
        record = place.record()
        place.synmesh("down")
        with open(os.path.join(record["directory"], "processes", "burst.log"), "rb") as log:
            lines = log.read().split(b"\n")
        if len(lines) != 200001 or lines[-1] != b"unfinished":
            row("200,000 lines in a burst: lost", str(200001 - len(lines)), "0", False)
    ratio = statistics.median(o / p for o, p in zip(ours, plain))
    if not any("burst" in case for case in missed):
        row("200,000 lines in a burst: lost", "0", "0", True)
    row("  the child's time over that of a plain pipe, median", f"{ratio:.2f}", "<= 1.20", ratio <= 1.2)
    place.remove()


def busy(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE") / 1e6


def scale():
    for count, bar in [(100, 2.0)] if arguments.quick else [(100, 2.0), (500, 15.0)]:
        place = Place()
        topology = place.write(
            "m.yaml", "synmesh: 1\nname: many\nbranches: {core: {}}\n"
            f"agents: {{ many: {{ kind: probe, replicas: {count} }} }}\n")
        begin = time.monotonic()
        place.up(topology)
        took = time.monotonic() - begin
        row(f"{count} agents ready, s", f"{took:.2f}", f"<= {bar:.0f}", took <= bar)
        orchestrator = place.record()["orchestrator"]["process"]
        time.sleep(2)
        before, begin = busy(orchestrator), time.monotonic()
        time.sleep(10)
        share = (busy(orchestrator) - before) / (time.monotonic() - begin) * 100
        row(f"  orchestrator idle at {count}, % of a core", f"{share:.2f}", "<= 1", share <= 1)
        memory = resident(orchestrator)
        row(f"  orchestrator at {count}, MB", f"{memory:.0f}", "<= 60", memory <= 60)
        begin = time.monotonic()
        result = place.synmesh("down")
        took = time.monotonic() - begin
        row(f"  {count} agents down, s", f"{took:.2f}", "", result.returncode == 0)
        place.remove()


CASES = {"survivors": survivors, "down": down, "replacement": replacement, "burst": burst, "scale": scale}

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("synmesh", type=os.path.abspath)
    parser.add_argument("--only", choices=CASES)
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    for name, case in CASES.items():
        if arguments.only in (None, name):
            case()
    sys.exit(1 if missed else 0)
