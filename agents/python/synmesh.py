"""synmesh in Python: the agents' contract of agents/README.md, for agents of your own.

    class Echo(Agent):
        async def handle(self, message):
            if message.type == "ping":
                await self.send(message.source, "echo", message.content, message.encoding, message)

    run(Echo)

The parts: `synmesh_runtime` (control plane, loads, moves), `synmesh_wire` (messages, the receiver's
rule), `synmesh_zeromq` and `synmesh_transports` (NATS), `synmesh_move` (from one to the other while the
agent goes on), `synmesh_outbox` (what is sent until it is acknowledged), `synmesh_history` and
`synmesh_pool`.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
import traceback

from synmesh_pool import PoolError
from synmesh_runtime import Environment, Runtime, SettingsError
from synmesh_transports import Unreachable
from synmesh_wire import BINARY, DESCRIPTOR, JSON, Message, token

__all__ = ["Agent", "BINARY", "DESCRIPTOR", "JSON", "Message", "PoolError", "SettingsError", "run"]


class Agent(Runtime):
    """What every agent does; a subclass says what it does with a message, and with a load."""

    async def handle(self, message: Message):
        """Does what a message asks for."""

    async def load(self, number: int, destination: str, arguments: dict):
        """Sends message `number` of a load; it follows from seed, name and number alone."""
        raise ValueError("this agent sends no load")

    def result(self):
        """What the agent found out."""
        return {}

    def state(self):
        """What the next incarnation needs; it gets it by `restore`."""

    def restore(self, state):
        """Takes over what `state` of the former incarnation said."""

    async def send(self, destination, type, content, encoding=JSON, cause=None):
        """Sends to an agent, or to a topic as `topic:NAME`; content is bytes, or a value for JSON."""
        if not isinstance(content, (bytes, bytearray, memoryview)):
            content = json.dumps(content, separators=(",", ":")).encode()
        await self.transport.room()  # from here on nothing waits: it is sent where the history says
        try:
            self.transport.way.check(destination, content)
        except ValueError as problem:  # without an identity, nobody else would miss it
            self.note("refused", destination=destination, type=type, reason=str(problem), by=self.name)
            raise
        is_kept = self.keeps(destination)
        if is_kept:
            self.outbox.check()
        sequence = self.sequences[destination] = self.sequences.get(destination, 0) + 1
        message = Message(
            self.name, destination, self.environment.incarnation, sequence, type=type, sent=self.now,
            encoding=encoding, content=bytes(content), cause=cause and cause.identity,
            is_kept=is_kept)
        if self.history:
            self.history.record(message, "sent", self.transport.name)
        await (self.outbox.keep(message) if is_kept else self.transport.send(message))

    def keeps(self, destination):
        """Whether what is sent there is kept until it is acknowledged."""
        acknowledging = self.environment.acknowledging
        return (self.environment.delivery == "at_least_once" and self.history is not None
                and not destination.startswith("topic:")
                and (acknowledging is None or destination in acknowledging))

    @contextlib.contextmanager
    def content_of(self, message):
        """The bytes that a message carries, or that it points to in shared memory."""
        if message.encoding != DESCRIPTOR:
            yield memoryview(message.content)
            return
        place = message.json
        about = {"envelope": token(message.identity), "pool": place.get("pool"), "by": self.name}
        try:
            pool = self.pools[place["pool"]]
            with pool.read(place) as content:
                self.note("content_read", verified=pool.checksum == 2 and "digest" in place, **about)
                yield content
        except (PoolError, KeyError) as problem:
            self.note("content_unreadable", reason=str(problem), **about)
            raise PoolError(str(problem)) from problem

    async def send_cloud(self, destinations, content, points, cause=None):
        """Sends a cloud to agents: inside of the messages, or from `threshold` bytes on in the `pool`."""
        pool = self.pools.get(self.settings.get("pool"))
        place = None
        if pool and len(content) >= self.settings.get("threshold", 10_000_000):
            end = time.monotonic() + pool.wait
            while (place := pool.publish(content, len(destinations))) is None:
                if time.monotonic() >= end:
                    if pool.fails_when_full:
                        raise PoolError("every slot is in use: more slots, or when_full: direct")
                    break
                await asyncio.sleep(0.01)
        for destination in destinations:
            if place is None:
                await self.send(destination, "pointcloud_direct", content, BINARY, cause)
            else:
                place |= {"pool": pool.name, "points": points}
                await self.send(destination, "pointcloud_shm", place, DESCRIPTOR, cause)

    def note(self, kind, **members):
        if self.history:
            self.history.annotate(kind, **members)


def run(kind):
    """Runs an agent until it is stopped, and ends the process with the code of the contract."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    environment = Environment(os.environ)
    if environment.problems:
        sys.exit(last_words(3, "the environment is incomplete:", *environment.problems))
    try:
        asyncio.run(kind(environment).main())
    except SettingsError as problem:
        sys.exit(last_words(2, problem))
    except Unreachable as problem:
        sys.exit(last_words(69, problem))
    except Exception:
        sys.exit(last_words(70, traceback.format_exc()))


def last_words(code, *lines):
    print(*lines, sep="\n  ", file=sys.stderr, flush=True)
    return code
