"""The delivery class `at_least_once`: what is sent is kept until its receiver says that it has recorded
it, and what comes of it is acknowledged (Documentation/wire-protocol.md).

`Outbox` is the sender's side, `Acknowledgements` the receiver's; `recall` reads what both have to know
after a crash from the histories of the former incarnations.
"""

import asyncio
import base64
import collections
import json
import os
import random
import time

import synmesh_history
from synmesh_transports import within
from synmesh_wire import ACKNOWLEDGEMENT, JSON, Message, token

HANDOVER_BYTES, RANGES_MAX, JUST_NOW = 64 << 20, 64, 0.1


class Refused(ValueError):
    """There is no room for one more."""


class Stream:
    """What is kept for one destination, of one incarnation, by sequence."""

    def __init__(self, now):
        self.messages, self.sent_at = collections.deque(), collections.deque()
        self.place = self.again = self.last = 0  # those before were sent; were sent earlier
        self.window, self.wait, self.due, self.progressed = 256, Outbox.FIRST, None, now

    @property
    def is_open(self):
        end = min(self.again, self.window) if self.place < self.again else len(self.messages)
        return self.place < end

    def go_back(self):
        self.again, self.place, self.window = max(self.again, self.place), 0, 8

    def rest(self, now):
        """Until what was sent is overdue; not for all senders the same."""
        self.due = now + self.wait * random.uniform(0.75, 1.25)


class Outbox:
    MESSAGES, BYTES = 10_000, 64 << 20
    FIRST, LONGEST, GIVE_UP = 0.25, 2, 60

    def __init__(self, agent):
        self.agent, self.streams, self.count, self.bytes = agent, {}, 0, 0
        self.acknowledged = self.resent = 0
        self.freed, self.filled, self.sending = asyncio.Event(), asyncio.Event(), asyncio.Lock()

    @property
    def is_full(self):
        return self.count >= self.MESSAGES or self.count > 0 and self.bytes >= self.BYTES

    async def room(self):
        """Waits until one more may be kept, or the agent ends."""
        while self.is_full and not self.agent.ending.is_set():
            self.freed.clear()
            await within(0.1, self.freed.wait())

    def check(self):
        """What one message makes an agent send may be more than there is room for, but not without end."""
        if self.count >= 4 * self.MESSAGES or self.bytes >= 4 * self.BYTES:
            raise Refused("too much is not acknowledged")

    def add(self, message):
        key = (message.destination, message.incarnation)
        stream = self.streams.setdefault(key, Stream(time.monotonic()))
        stream.messages.append(message)
        stream.sent_at.append(0)
        stream.last = message.sequence
        self.count += 1
        self.bytes += len(message.content)
        self.filled.set()
        return key

    async def keep(self, message):
        await self.push(self.add(message))

    async def push(self, key):
        """Sends what may go to one destination, in order."""
        async with self.sending:
            while (stream := self.streams.get(key)) and stream.is_open:
                message, now = stream.messages[stream.place], time.monotonic()
                self.resent += stream.place < stream.again
                stream.sent_at[stream.place] = now
                stream.place += 1  # acknowledgements move it while this one is being sent
                if stream.due is None:
                    stream.rest(now)
                if not await self.give(message):
                    return

    async def give(self, message):
        try:
            await self.agent.transport.send(message)
            return True
        except Exception as problem:  # it is kept, and sent again
            print(f"not sent: {problem!r}", flush=True)
            return False

    async def heed(self, message):
        """A receiver says what it has recorded."""
        try:
            said = message.json
            key, through = (message.source, int(said["incarnation"])), int(said["through"])
            missing = [(int(low), int(high)) for low, high in said.get("missing", [])[:RANGES_MAX]]
        except (ValueError, KeyError, TypeError):
            return
        stream = self.streams.get(key)
        if stream is None or through > stream.last:
            return
        removed, now = 0, time.monotonic()
        while stream.messages and stream.messages[0].sequence <= through:
            self.bytes -= len(stream.messages.popleft().content)
            stream.sent_at.popleft()
            removed += 1
        if removed:
            self.count -= removed
            self.acknowledged += removed
            stream.place, stream.again = max(0, stream.place - removed), max(0, stream.again - removed)
            stream.window, stream.wait = min(256, max(8, stream.window * 2)), self.FIRST
            stream.progressed, stream.due = now, None
            if stream.place:
                stream.rest(now)
            self.agent.note(
                "acknowledged", source=self.agent.name, destination=key[0], incarnation=key[1],
                through=through, by=key[0])
            self.freed.set()
        again = []
        for index in range(stream.place if missing else 0):
            kept = stream.messages[index]
            if stream.sent_at[index] + JUST_NOW <= now and any(
                    low <= kept.sequence <= high for low, high in missing):
                stream.sent_at[index] = now
                again.append(kept)
        if not stream.messages:
            del self.streams[key]
        elif again or stream.is_open:
            self.task = asyncio.create_task(self.send_again(key, again))

    async def send_again(self, key, messages):
        for message in messages:
            self.resent += 1
            await self.give(message)
        await self.push(key)

    async def restart(self):
        """The way was broken and is whole again."""
        for key, stream in list(self.streams.items()):
            stream.go_back()
            stream.wait, stream.due = self.FIRST, None
            await self.push(key)

    async def tend(self):
        """Sends again what is overdue, and gives up what nobody ever acknowledges, by name."""
        while True:
            await self.filled.wait()
            await asyncio.sleep(0.05)
            now = time.monotonic()
            if not self.streams:
                self.filled.clear()
            for key, stream in list(self.streams.items()):
                if stream.progressed + self.GIVE_UP <= now:
                    self.forget(key, f"not acknowledged within {self.GIVE_UP} s")
                elif stream.due is not None and stream.due <= now:
                    stream.wait = min(stream.wait * 2, self.LONGEST)
                    stream.go_back()
                    stream.rest(now)
                if not self.agent.is_drained:
                    await self.push(key)

    def forget(self, key, reason):
        stream = self.streams.pop(key)
        for message in stream.messages:
            self.agent.note(
                "dropped", envelope=token(message.identity), reason=reason, by=self.agent.name)
            self.count -= 1
            self.bytes -= len(message.content)
        self.freed.set()

    def state(self):
        """For the next incarnation: contents as far as there is room, of the rest the names."""
        kept, named, size = [], [], 0
        for (destination, incarnation), stream in self.streams.items():
            for message in stream.messages:
                size += len(message.content)
                if size <= HANDOVER_BYTES:
                    kept.append({
                        "header": base64.b64encode(message.header()).decode(),
                        "content": base64.b64encode(message.content).decode()})
                else:
                    named.append({
                        "destination": destination, "incarnation": incarnation,
                        "sequences": [message.sequence, message.sequence]})
        state = {"unacknowledged": kept} if kept else {}
        return state | ({"unacknowledged_recorded": named} if named else {})

    def restore(self, state, past):
        """What `state` hands over; what it only names, and everything after a crash, out of the past."""
        for kept in state.get("unacknowledged", []):
            self.add(Message.parse(*(base64.b64decode(kept[part]) for part in ("header", "content"))))
        for named in state.get("unacknowledged_recorded", []):
            flow = (self.agent.name, named["destination"], named["incarnation"])
            low, high = named["sequences"]
            for sequence in range(low, high + 1):
                message = past.sent.get(flow, {}).get(sequence)
                if message is not None:
                    self.add(message)
                    continue
                self.agent.note(
                    "dropped", by=self.agent.name, reason="too large for the handover, and in no history",
                    envelope=token((flow[0], flow[2], flow[1], sequence)))


class Acknowledgements:
    AT_ONCE, WITHIN = 64, 0.04

    def __init__(self, agent):
        self.agent, self.recorded, self.owed, self.timer = agent, {}, {}, None

    def owe(self, flow, count=0, missing=()):
        """The sender of a flow is to hear how far it is recorded."""
        owed = self.owed.setdefault(flow, [0, []])
        owed[0] += count
        owed[1] += [pair for pair in missing if pair not in owed[1]][:RANGES_MAX - len(owed[1])]
        if self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(
                self.WITHIN, lambda: asyncio.create_task(self.say()))

    async def note(self, message):
        """A message of the class is on record."""
        self.recorded[message.flow] = message.sequence
        self.owe(message.flow, 1)
        if self.owed[message.flow][0] >= self.AT_ONCE:
            await self.say()

    async def say(self):
        if self.timer:
            self.timer.cancel()
        owed, self.owed, self.timer = self.owed, {}, None
        for flow, (_, missing) in owed.items():
            try:
                await self.agent.transport.send(self.message(flow, missing))
            except Exception as problem:  # its sender sends again, and is told then
                print(f"not acknowledged: {problem!r}", flush=True)

    def message(self, flow, missing):
        source, _, incarnation = flow
        receiver, through = self.agent.receiver, self.recorded.get(flow, 0)
        content = {"incarnation": incarnation, "through": through}
        gaps = [[low, high] for low, high in receiver.given_up[flow] if high <= through][-RANGES_MAX:]
        missing += [pair for pair in receiver.missing(flow) if pair not in missing]
        missing = missing[:RANGES_MAX]
        content |= ({"except": gaps} if gaps else {}) | ({"missing": missing} if missing else {})
        return Message(
            self.agent.name, source, self.agent.environment.incarnation, 0, ACKNOWLEDGEMENT,
            "acknowledgement", self.agent.now, JSON, json.dumps(content).encode())


class Past:
    """What the former incarnations recorded of the class."""

    def __init__(self):
        self.next, self.given_up = {}, collections.defaultdict(list)
        self.kept = set()  # flows of which something was delivered
        self.sent = collections.defaultdict(dict)  # by flow and sequence; None where the content is lost

    def take(self, channel, message):
        if channel.get("delivery") != "at_least_once" or channel["lane"] != "primary":
            return
        flow = (channel["source"], channel["destination"], int(channel["incarnation"]))
        sequence = message.sequence + (int(channel.get("sequence_high", 0)) << 32)
        if channel["direction"] == "delivered":
            self.kept.add(flow)
            self.next[flow] = max(self.next.get(flow, 1), sequence + 1)
        else:
            is_there = channel["encoding"] != synmesh_history.DIGEST
            self.sent[flow][sequence] = Message(
                flow[0], flow[1], flow[2], sequence, type=channel["type"], sent=message.published,
                encoding=synmesh_history.ENCODINGS.index(channel["content_encoding"]),
                content=message.data, is_kept=True) if is_there else None

    def annotate(self, about, agent):
        kind = about.get("annotation")
        if kind in ("acknowledged", "gap"):
            flow = (about["source"], about["destination"], about["incarnation"])
        if kind == "acknowledged":
            sent = self.sent[flow]
            for sequence in [sequence for sequence in sent if sequence <= about["through"]]:
                del sent[sequence]
        elif kind == "gap" and about["by"] == agent:
            self.next[flow] = max(self.next.get(flow, 1), about["through"] + 1)
            self.given_up[flow].append((about["from"], about["through"]))
        elif kind == "dropped" and about["by"] == agent:
            source, incarnation, destination, sequence = about["envelope"].split("/")
            self.sent[(source, destination, int(incarnation))].pop(int(sequence), None)
        elif kind == "cause":
            source, incarnation, destination, sequence = about["of"].split("/")
            message = self.sent[(source, destination, int(incarnation))].get(int(sequence))
            if message:
                source, incarnation, destination, sequence = about["by"].split("/")
                message.cause = (source, int(incarnation), destination, int(sequence))


def recall(environment):
    """What the former incarnations put on record, oldest first."""
    past, suffix = Past(), f".{environment.incarnation}.mcap"
    if not environment.history or not environment.history.endswith(suffix):
        return past
    for former in range(1, environment.incarnation):
        path = f"{environment.history.removesuffix(suffix)}.{former}.mcap"
        if not os.path.exists(path):
            continue  # it died before it had one, and so before it sent anything
        for channel, message in synmesh_history.read(path):
            if channel["topic"] == "annotations":
                past.annotate(json.loads(message.data), environment.name)
            elif "source" in channel:
                past.take(channel, message)
    # A gap may be in a flow of the other class, of which nothing is known after a crash.
    past.next = {flow: next for flow, next in past.next.items() if flow in past.kept}
    past.given_up = {flow: gaps for flow, gaps in past.given_up.items() if flow in past.kept}
    return past
