"""What every agent does: receives by the receiver's rule, obeys, drains, stops."""

import asyncio
import dataclasses
import json
import os
import signal
import time

from synmesh_history import History
from synmesh_move import STAGES, WAYS, Live
from synmesh_outbox import Acknowledgements, Outbox, recall
from synmesh_pool import Pool
from synmesh_transports import control_socket, read, within
from synmesh_wire import ACKNOWLEDGEMENT, CONTENT, GAP, JSON, Message, Receiver, legal, token, under

DRAIN_SECONDS, TURN_SECONDS = 3, 0.005


class SettingsError(Exception):
    """A setting that the agent cannot use: exit code 2."""


class Environment:
    """What the orchestrator says, read once; `problems` names every variable that is not there."""

    def __init__(self, variables):
        self.variables, self.problems = variables, []
        self.name = self.read("NAME", legal)
        self.incarnation = self.read("INCARNATION", lambda text: int(text) if int(text) > 0 else None)
        self.control = self.read("CONTROL")
        self.clock_offset = self.read("CLOCK_OFFSET", int)
        self.seed = self.read("SEED", int)
        self.transport = self.read("TRANSPORT", {name: name for name in WAYS}.get)
        self.route_epoch = self.read("ROUTE_EPOCH", int, needed=False)
        self.branch = self.read(
            "BRANCH_ENDPOINT", needed=self.transport == "zmq" or self.route_epoch is not None)
        self.nats = self.read("NATS_URL", needed=self.transport == "nats")
        self.nats_chunking = self.read(
            "NATS_CHUNKING", {"true": "true", "false": "false"}.get, needed=False) != "false"
        self.seed_agents = self.read("SEED_AGENTS", json.loads, needed=False) or []
        self.topic_proxies = self.read("TOPIC_PROXIES", json.loads, needed=False) or []
        self.delivery = self.read(
            "DELIVERY", {name: name for name in ("at_most_once", "at_least_once")}.get, needed=False)
        self.acknowledging = self.read("ACKNOWLEDGING", json.loads, needed=False)
        self.settings = self.read("SETTINGS", json.loads, needed=False) or {}
        self.pools = self.read("POOLS", json.loads, needed=False) or []
        self.history, self.state = self.read("HISTORY", needed=False), self.read("STATE", needed=False)

    def read(self, name, parse=str, needed=True):
        text = self.variables.get("SYNMESH_" + name)
        if not text:
            self.problems += [f"SYNMESH_{name} is missing"] if needed else []
            return None
        try:
            value = parse(text)
        except ValueError:
            value = None
        if value is None:
            self.problems.append(f"SYNMESH_{name} is malformed: {text!r}")
        return value


class Runtime:
    """An agent at work; `Agent` is what a subclass sees of it."""

    def __init__(self, environment: Environment):
        self.environment, self.name, self.settings = environment, environment.name, environment.settings
        to, topics, subscribe = (self.settings.get(key) or [] for key in ("to", "topics", "subscribe"))
        if not all(isinstance(names, list) for names in (to, topics, subscribe)):
            raise SettingsError("'to', 'topics' and 'subscribe' are lists of names")
        self.destinations = to + ["topic:" + topic for topic in topics]
        self.subscriptions = set(subscribe)
        self.sequences, self.delivered, self.loads, self.unfinished = {}, {}, set(), []
        self.is_drained = self.is_closed = False

    @property
    def now(self):
        return time.monotonic_ns() + self.environment.clock_offset

    def is_subscribed(self, address):
        return any(under(address.removeprefix("topic:"), topic) for topic in self.subscriptions)

    async def take(self, message: Message, credit=None):
        """Every message comes through here; contents wait for their turn, acknowledgements do not."""
        if message.kind == ACKNOWLEDGEMENT:
            await self.outbox.heed(message)
        else:
            self.inbox.put_nowait((message, credit, None))

    async def take_incomplete(self, message: Message, reason: str):
        """Its content did not come whole."""
        self.inbox.put_nowait((message, None, reason))

    async def work(self):
        """One message after the other, each once there is room for what it makes the agent send."""
        is_stuck, turn_ends = False, 0
        while True:
            message, credit, reason = await self.inbox.get()
            if time.monotonic() >= turn_ends:  # taking what is there does not yield to the others
                await asyncio.sleep(0)
                turn_ends = time.monotonic() + TURN_SECONDS
            # Not for ever: two agents may wait for each other.
            is_stuck = self.outbox.is_full and (is_stuck or not await within(10, self.outbox.room()))
            await self.take_turn(message, reason)
            if credit is not None:
                way, hellos = credit
                await way.consumed(hellos)
            self.inbox.task_done()

    async def take_turn(self, message: Message, reason):
        async with self.turn:
            if not self.is_drained:
                if reason:
                    message = self.incomplete(message, reason)
                await self.apply(self.receiver.accept(message, time.monotonic()))
                if message.is_kept and self.receiver.held.get(message.flow):
                    self.acknowledgements.owe(message.flow)

    def incomplete(self, message: Message, reason):
        """What did not come whole is dropped by name."""
        self.note("dropped", envelope=token(message.identity), reason=reason, by=self.name)
        notice = {"from": message.sequence, "through": message.sequence, "reason": reason}
        return dataclasses.replace(
            message, kind=GAP, type="gap", encoding=JSON, content=json.dumps(notice).encode())

    async def apply(self, outcomes):
        for outcome, message, members in outcomes:
            if outcome == "deliver":
                flow = f"{message.source} -> {message.destination}"
                self.delivered[flow] = self.delivered.get(flow, 0) + 1
                if self.history:
                    self.history.record(message, "delivered", message.came_on or self.transport.name)
                if message.is_kept and self.history:
                    await self.acknowledgements.note(message)
                await self.handle(message)
            elif outcome == "missing":
                self.acknowledgements.owe(
                    message.flow, missing=[[members["from"], members["through"]]])
            else:
                if message is not None and message.is_kept and message.kind == CONTENT:
                    self.acknowledgements.owe(message.flow)  # its sender does not know
                if outcome == "repeat_dropped":
                    members |= {"transport": message.came_on or self.transport.name}
                self.note(outcome, by=self.name, **members)

    def take_up(self, state, past):
        """What the former incarnation had not finished of the class at_least_once."""
        if state:
            self.outbox.restore(state, past)
        else:
            for flow in sorted(past.sent):
                for sequence in sorted(past.sent[flow]):
                    if past.sent[flow][sequence] is not None:
                        self.outbox.add(past.sent[flow][sequence])
                        continue
                    self.note(
                        "dropped", by=self.name, reason="its content is in no history: it cannot be sent again",
                        envelope=token((flow[0], flow[2], flow[1], sequence)))
        for flow in self.receiver.kept:  # both sides of a crash want to know where the other is
            self.acknowledgements.recorded[flow] = self.receiver.next[flow] - 1
            self.acknowledgements.owe(flow)

    async def expire(self):
        while True:
            await asyncio.sleep(0.1)
            async with self.turn:
                if not self.is_drained:
                    await self.apply(self.receiver.expire(time.monotonic()))

    def watch(self, task):
        """What fails beside the main loop ends the agent, too."""
        if not task.cancelled() and task.exception() and not self.failure.done():
            self.failure.set_exception(task.exception())

    # The control plane.

    async def obey(self, frames):
        try:
            command = json.loads(frames[-1])
            name, arguments = command["command"], command.get("arguments") or {}
        except (ValueError, TypeError, KeyError):
            return
        task = asyncio.create_task(self.answer(command.get("id"), name, arguments))
        if name == "load":
            self.loads.add(task)
            task.add_done_callback(self.loads.discard)
        if name in ("load", "move"):  # answered when it is over
            task.add_done_callback(self.watch)
        else:
            await task

    async def answer(self, id, name, arguments):
        try:
            method = getattr(self, f"on_{name}", None)
            if method is None:
                raise ValueError(f"unknown command '{name}'")
            await self.say(kind="answer", id=id, ok=True, result=await method(arguments))
        except (ValueError, TypeError) as problem:
            await self.say(kind="answer", id=id, ok=False, error=str(problem))
        if self.is_closed:
            self.stopped.set()

    async def say(self, **members):
        await self.control.send(json.dumps({"control": 1} | members).encode())

    async def on_status(self, _):
        return {
            "sent": self.sequences, "delivered": self.delivered, "held": self.receiver.held_count,
            "loading": bool(self.loads), "subscriptions": sorted(self.subscriptions),
            "transport": self.transport.home, "moving": self.transport.is_moving,
            "drained": self.is_drained, "pools": sorted(self.pools),
            "acknowledges": self.history is not None, "unacknowledged": self.outbox.count,
            "acknowledged": self.outbox.acknowledged, "resent": self.outbox.resent,
            "deferred": self.receiver.deferred}

    async def on_result(self, _):
        return self.result()

    async def on_load(self, arguments):
        if self.is_drained or not self.destinations:
            raise ValueError("the agent is drained" if self.is_drained else "its settings have no 'to'")
        count, duration = arguments.get("count"), arguments.get("duration_ms")
        if count is None and duration is None:
            raise ValueError("a load needs a 'count' or a 'duration_ms'")
        start, rate, began, done = arguments.get("start") or 0, arguments.get("rate"), time.monotonic(), 0
        end = float("inf") if duration is None else began + duration / 1_000
        rest = {}
        while (count is None or done < count) and time.monotonic() < end:
            due = min(end, began + done / rate) if rate else 0
            try:
                await asyncio.wait_for(self.ending.wait(), max(0, due - time.monotonic()))
                rest = arguments | {"start": start + done}
                rest |= {} if count is None else {"count": count - done}
                rest |= {} if duration is None else {
                    "duration_ms": max(0, int((end - time.monotonic()) * 1_000))}
                self.unfinished.append(rest)
                break
            except TimeoutError:
                pass
            await self.outbox.room()
            for destination in self.destinations:
                await self.load(start + done, destination, arguments)
            done += 1
        sent = {"sent": done * len(self.destinations), "failed": 0, "messages": done}
        return sent | ({"unfinished": True} if rest else {})

    async def on_move(self, arguments):
        name, epoch, halt_at = (arguments.get(key) for key in ("transport", "epoch", "halt_at"))
        if self.is_drained or name not in WAYS or not isinstance(epoch, int):
            raise ValueError("the agent is drained" if self.is_drained else
                             "'transport' (zmq or nats) and 'epoch' are needed")
        if halt_at not in (None, *STAGES):
            raise ValueError(f"'{halt_at}' is no step of a move")
        if not self.environment.branch or not self.environment.nats:
            raise ValueError("the agent does not know where both transports are")
        return await self.transport.move(name, epoch, halt_at)

    async def on_drain(self, arguments):
        if self.is_drained:
            raise ValueError("the agent is drained already")
        await self.transport.rest(DRAIN_SECONDS)
        self.ending.set()
        await asyncio.gather(*self.loads)
        before = sum(self.delivered.values())
        inbound = await self.transport.way.drain_inbound(DRAIN_SECONDS, arguments.get("epoch"))
        inbound &= await within(DRAIN_SECONDS, self.inbox.join())
        async with self.turn:
            self.is_drained = True  # what comes now is for the next incarnation
        await self.acknowledgements.say()
        outbound = await self.transport.way.drain_outbound(DRAIN_SECONDS)
        state = {"subscriptions": sorted(self.subscriptions), "agent": self.state()}
        return {
            "state": state | self.receiver.state() | self.outbox.state(), "unfinished_loads": self.unfinished,
            "delivered": sum(self.delivered.values()) - before, "inbound_complete": inbound,
            "outbound_complete": outbound, "problems": []}

    async def on_stop(self, _):
        await self.close()
        return {"sealed": True}

    async def close(self):
        self.ending.set()
        await self.transport.rest(0)
        await asyncio.gather(*self.loads)
        await self.acknowledgements.say()
        await self.transport.close()
        if self.history:
            self.history.close()
        self.history, self.is_closed = None, True

    async def main(self):
        environment, state = self.environment, None
        self.ending, self.stopped, self.turn = asyncio.Event(), asyncio.Event(), asyncio.Lock()
        self.failure = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stopped.set)
        if environment.state and os.path.exists(environment.state):
            with open(environment.state, encoding="utf-8") as file:
                state = json.load(file)
            self.restore(state.get("agent"))
            self.subscriptions.update(state.get("subscriptions", []))
        past = recall(environment)
        self.receiver = Receiver(
            environment.incarnation == 1 or bool(state), state, time.monotonic(), past)
        self.outbox, self.acknowledgements = Outbox(self), Acknowledgements(self)
        self.inbox = asyncio.Queue()
        self.pools = {about["name"]: Pool(about) for about in environment.pools}
        self.control = control_socket(environment)
        self.transport = Live(self, environment)
        self.history = environment.history and History(
            environment.history, self.name, environment.clock_offset)
        for message in self.receiver.restored:
            await self.take(message)
        await self.transport.attach()
        self.take_up(state, past)
        for topic in sorted(self.subscriptions):
            await self.transport.subscribe(topic)
            self.note("subscribed", agent=self.name, topic=topic)
        tasks = [asyncio.create_task(work) for work in (
            self.work(), read(self.control, self.obey), self.expire(), self.outbox.tend(),
            self.stopped.wait())] + [self.failure]
        await self.say(
            kind="ready", role="agent", name=self.name, incarnation=environment.incarnation,
            pid=os.getpid(), endpoints={})
        while not self.stopped.is_set():
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()  # raises what ended it
            tasks = [task for task in tasks if not task.done()]
        if not self.is_closed:
            await self.close()
