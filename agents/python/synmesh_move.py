"""The live move (Documentation/wire-protocol.md): an agent changes its transport while it goes on.

`Live` is the agent's one transport. It has one way into the mesh, and during a move both: what comes on the
new one is held until the old one has ended. Where the agent lives is decided by its home alone.
"""

import asyncio
import contextlib
import os
import signal
import time

import zmq.asyncio

from synmesh_transports import NATS, Unreachable, within
from synmesh_zeromq import ZeroMQ

WAYS = {"zmq": ZeroMQ, "nats": NATS}
STAGES = ("opening", "asking", "draining", "marking")
STEP, AGAIN, ATTACH = 2, 0.1, 11  # seconds


class Live:
    def __init__(self, agent, environment):
        self.agent, self.environment = agent, environment
        self.ways, self.topics, self.has_published = {}, set(), False
        self.home = self.name = environment.transport  # where it hears, and where it sends
        self.epoch, self.task, self.halt_at, self.closing = 0, None, None, set()
        # Nothing is sent until the old way is known to have ended; what is being sent ends there.
        self.opened, self.idle, self.in_flight = asyncio.Event(), asyncio.Event(), 0

    @property
    def way(self):
        return self.ways[self.name]

    @property
    def is_moving(self):
        return self.task is not None and not self.task.done()

    async def open(self, name, is_held=True):
        """Opens a way; what is subscribed to holds then, and where the agent publishes it can do so."""
        way = WAYS[name](self.agent, self.environment, is_held)
        try:
            await way.attach(self.has_published)
            for topic in sorted(self.topics):
                await way.subscribe(topic)
        except BaseException:
            self.close_later(way)
            raise
        return way

    def close_later(self, way):
        """Beside the work: its last bytes may take a while."""
        task = asyncio.create_task(way.close())
        self.closing.add(task)
        task.add_done_callback(self.closing.discard)

    async def attach(self):
        is_new = self.environment.route_epoch is None
        try:
            async with asyncio.timeout(ATTACH):
                await (self.begin() if is_new else self.return_home())
        except TimeoutError as problem:
            raise Unreachable("no answer" if is_new else "its home does not say where it lives") from problem
        self.opened.set()

    async def begin(self):
        self.ways[self.home] = await self.open(self.home, is_held=False)

    async def return_home(self):
        """A former life may have been moved, or be about to be: the home says where the agent lives."""
        target = (self.home, self.environment.route_epoch)
        while True:
            for name in dict.fromkeys(("zmq", target[0])):  # it is asked by ZeroMQ in any case
                while name not in self.ways:
                    with contextlib.suppress(TimeoutError):
                        self.ways[name] = await asyncio.wait_for(self.open(name), STEP)
            self.ways["zmq"].decision = None
            answer = await self.ask(*target)
            if answer[0] == target[0]:
                break
            await self.ways[target[0]].release()  # it was for the agent
            if target[0] == "nats":
                self.close_later(self.ways.pop("nats"))
            target = answer
        (self.home, self.epoch), self.name = answer, answer[0]
        await self.ways["zmq"].release()  # what came there before is of a former life, and comes first
        await self.way.release()
        if self.home == "nats":
            self.close_later(self.ways.pop("zmq"))
        print(f"lives on {self.home}, epoch {self.epoch}", flush=True)

    async def move(self, name, epoch, halt_at):
        """Goes there, under a number that is above all that were before, and says how that ended."""
        if self.is_moving or name == self.home and epoch > self.epoch:
            return {"outcome": "busy" if self.is_moving else "unchanged"}
        self.halt_at, began = halt_at, time.monotonic()
        self.task = asyncio.create_task(self.go(name, epoch))
        await asyncio.wait([self.task])
        report = {"pause_us": 0, "both_us": 0, "held": 0, "duration_us": microseconds(began)} | (
            {"outcome": "stayed", "reason": "it ends"} if self.task.cancelled() else self.task.result())
        print(f"move to {name} (epoch {epoch}): {report}", flush=True)
        return report

    async def go(self, name, epoch):
        if epoch <= self.epoch:
            return {"outcome": "stayed", "step": "opening"}
        former, opening = self.home, asyncio.create_task(self.open(name))
        self.halt("opening")
        try:
            new = self.ways[name] = await asyncio.wait_for(opening, STEP)
        except Exception as problem:  # nobody was asked: it may stay by itself
            return {"outcome": "stayed", "step": "opening", "reason": repr(problem)}
        opened = time.monotonic()
        answer = await self.ask(name, epoch)
        if answer != (name, epoch):
            self.epoch = max(self.epoch, answer[1])
            self.close_later(self.ways.pop(name))
            return {"outcome": "stayed", "step": "asking"}
        if former == "nats":
            self.halt("draining")
            await self.way.end()
        self.home, self.epoch, held = name, epoch, len(new.held)
        await new.release()
        paused = time.monotonic()
        self.opened.clear()
        while self.in_flight:
            self.idle.clear()
            await self.idle.wait()
        home = self.ways["zmq"]
        await self.until("marking", lambda: self.mark(former, epoch, paused), lambda: home.is_settled(epoch))
        self.name = name
        self.opened.set()
        self.close_later(self.ways.pop(former))
        return {"outcome": "moved", "pause_us": microseconds(paused), "both_us": microseconds(opened),
                "held": held}

    async def ask(self, name, epoch):
        """Where the home says that the agent lives, once nothing of the old way follows."""
        home = self.ways["zmq"]
        await self.until("asking", lambda: home.ask(name, epoch), lambda: home.is_answered(name, epoch))
        return home.decision

    async def mark(self, former, epoch, paused):
        """Where the old way ends; proxies then find at the server all that was published before."""
        is_there = former == "zmq" or await self.way.confirm(AGAIN)
        if is_there or not self.way.is_connected and time.monotonic() >= paused + STEP:
            await self.ways["zmq"].ask_to_settle(former, epoch)

    async def until(self, stage, say, is_answered):
        """Says the same again and again until it is answered."""
        word = self.ways["zmq"].word
        await say()
        self.halt(stage)
        while not is_answered():
            word.clear()
            if not await within(AGAIN, word.wait()):
                await say()

    def halt(self, stage):
        """A fault that is to happen at a step."""
        if stage == self.halt_at:
            self.halt_at = None
            print(f"halted at '{stage}', as asked", flush=True)
            os.kill(os.getpid(), signal.SIGSTOP)

    async def rest(self, seconds):
        """Ends a move that goes on, if it does not end by itself."""
        if self.is_moving:
            await asyncio.wait([self.task], timeout=seconds)
            self.task.cancel()
        self.opened.set()

    async def room(self):
        """Waits until something may be sent: no move has it wait, and the way has a connection."""
        while not self.opened.is_set() or not self.way.is_connected and not self.agent.ending.is_set():
            await (asyncio.sleep(0.01) if self.opened.is_set() else self.opened.wait())

    async def send(self, message):
        await self.room()
        self.has_published |= message.destination.startswith("topic:")
        self.in_flight += 1
        try:
            await self.way.send(message)
        finally:
            self.in_flight -= 1
            self.idle.set()

    async def subscribe(self, topic):
        self.topics.add(topic)
        await self.way.subscribe(topic)

    async def close(self):
        await asyncio.gather(*self.closing, *(way.close() for way in self.ways.values()))
        zmq.asyncio.Context.instance().destroy(linger=1_000)


def microseconds(since):
    return int((time.monotonic() - since) * 1_000_000)
