"""What goes over the wire (Documentation/wire-protocol.md): messages, and the receiver's rule."""

import base64
import json
import re
import struct
from collections import defaultdict
from dataclasses import dataclass, replace

CONTENT, ACKNOWLEDGEMENT, CREDIT, GAP, MARKER, HELLO, BATCH = range(1, 8)
BINARY, JSON, DESCRIPTOR = 0, 1, 2
LEGAL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


def legal(name: str):
    return name if LEGAL.fullmatch(name) else None


def under(topic: str, prefix: str) -> bool:
    """By whole tokens: `tot.a` is under `tot`, `tots` is not."""
    return topic == prefix or topic.startswith(prefix + ".")


def token(identity: tuple) -> str:
    """`source/incarnation/destination/sequence`, as annotations and `ce-causationid` have it."""
    return "/".join(str(part) for part in identity)


def address(is_topic: int, name: str) -> str:
    return "topic:" + name if is_topic else name


def name_bytes(address: str) -> bytes:
    name = address.removeprefix("topic:").encode()
    return bytes([len(name)]) + name


@dataclass
class Message:
    source: str
    destination: str  # an agent, or "topic:" and a topic
    incarnation: int
    sequence: int
    kind: int = CONTENT
    type: str = ""
    sent: int = 0
    encoding: int = JSON
    content: bytes = b""
    cause: tuple | None = None  # the identity of what this one answers
    hops: int = 0
    is_kept: bool = False  # of the class at_least_once: kept until it is acknowledged
    came_on: str = ""  # the transport, of what was received

    @property
    def identity(self):
        return (self.source, self.incarnation, self.destination, self.sequence)

    @property
    def flow(self):
        return (self.source, self.destination, self.incarnation)

    @property
    def json(self):
        return json.loads(self.content)

    def header(self) -> bytes:
        """The header that stands before the content on ZeroMQ."""
        flags = self.destination.startswith("topic:")
        if self.cause:
            flags += 2 + 4 * self.cause[2].startswith("topic:")
        flags += 8 * self.is_kept
        fixed = struct.pack("<5BIQQ", 1, self.kind, self.encoding, self.hops, flags,
                            self.incarnation, self.sequence, self.sent)
        names = b"".join(map(name_bytes, (self.source, self.destination, self.type)))
        if self.cause:
            source, incarnation, destination, sequence = self.cause
            names += struct.pack("<IQ", incarnation, sequence)
            names += name_bytes(source) + name_bytes(destination)
        return fixed + names

    @staticmethod
    def parse(header: bytes, content: bytes):
        """The message of a header and a content, or None where the bytes are no header."""
        try:
            version, kind, encoding, hops, flags, incarnation, sequence, sent = \
                struct.unpack_from("<5BIQQ", header)
            place = 25

            def name():
                nonlocal place
                start, place = place + 1, place + 1 + header[place]
                return header[start:place].decode()

            source, destination, type = name(), address(flags & 1, name()), name()
            cause = None
            if flags & 2:
                caused, number = struct.unpack_from("<IQ", header, place)
                place += 12
                cause = (name(), caused, address(flags & 4, name()), number)
        except (struct.error, IndexError, UnicodeDecodeError):
            return None
        if version != 1 or encoding > DESCRIPTOR or place != len(header):
            return None
        return Message(source, destination, incarnation, sequence, kind, type, sent, encoding,
                       content, cause, hops, bool(flags & 8))

    def parts(self) -> list:
        """What a batch holds, or itself; nothing where a batch is none."""
        if self.kind != BATCH:
            return [self]
        data, place, parts, type = self.content, 4, [], ""

        def name():
            nonlocal place
            start, place = place + 1, place + 1 + data[place]
            return data[start:place].decode()

        try:
            for index in range(struct.unpack_from("<I", data)[0]):
                flags, encoding, sent, size = struct.unpack_from("<BBQI", data, place)
                place += 14
                type, cause = name() if flags & 4 else type, None
                if flags & 1:
                    caused, number = struct.unpack_from("<IQ", data, place)
                    place += 12
                    cause = (name(), caused, address(flags & 2, name()), number)
                parts.append(replace(
                    self, sequence=self.sequence + index, kind=CONTENT, type=type, sent=sent,
                    encoding=encoding, content=data[place:place + size], cause=cause))
                place += size
        except (struct.error, IndexError, UnicodeDecodeError):
            return []
        return parts if place == len(data) else []

    def headers(self) -> dict:
        """The same as headers of a NATS message."""
        fields = {
            "ce-specversion": "1.0", "ce-source": self.source,
            "ce-id": f"{self.incarnation}/{self.destination}/{self.sequence}", "ce-type": self.type,
            "ce-sequence": f"{self.sequence:020}", "ce-incarnation": str(self.incarnation),
            "ce-destination": self.destination, "ce-sent": str(self.sent),
            "ce-kind": str(self.kind), "ce-hops": str(self.hops),
            "ce-datacontenttype":
                "application/octet-stream" if self.encoding == BINARY else "application/json"}
        if self.encoding == DESCRIPTOR:
            place = self.json
            fields["ce-dataref"] = f"shm:{place['pool']}/{place['slot']}/{place['generation']}"
        if self.cause:
            fields["ce-causationid"] = token(self.cause)
        if self.is_kept:
            fields["synmesh-delivery"] = "at_least_once"
        return fields

    @staticmethod
    def parse_headers(headers: dict, content: bytes):
        try:
            cause = headers.get("ce-causationid")
            if cause:
                source, incarnation, destination, sequence = cause.split("/")
                cause = (source, int(incarnation), destination, int(sequence))
            is_json = headers.get("ce-datacontenttype") == "application/json"
            is_shared = is_json and headers.get("ce-dataref", "").startswith("shm:")
            return Message(
                headers["ce-source"], headers["ce-destination"], int(headers["ce-incarnation"]),
                int(headers["ce-sequence"]), int(headers["ce-kind"]), headers["ce-type"],
                int(headers["ce-sent"]), DESCRIPTOR if is_shared else JSON if is_json else BINARY,
                content, cause, int(headers["ce-hops"]),
                headers.get("synmesh-delivery") == "at_least_once")
        except (KeyError, ValueError):
            return None


class Receiver:
    """Each message of a flow once and in order, as far as that can be had within two seconds.

    Every method returns what is to be done: ("deliver", message, {}), or what there is to say of a
    message that is not delivered, with the members of the annotation.
    """

    PATIENCE, SETTLING, HELD_MAX = 2, 10, 10_000
    KEPT_PATIENCE = 60  # who sends at least once sends what is missing again

    def __init__(self, knows_all: bool, state, now: float, past=None):
        self.knows_all = knows_all  # nothing of an agent's flow was missed before
        self.next, self.unsure, self.since = {}, set(), {}
        self.held = defaultdict(dict)  # by flow and sequence: (through, message or none, since when)
        self.given_up = defaultdict(list)
        self.kept, self.deferred = set(), 0  # flows of the class at_least_once
        self.settling_until = now + self.SETTLING if state else 0
        for mark in (state or {}).get("marks", []):
            flow = (mark["source"], mark["destination"], mark["incarnation"])
            self.next[flow] = mark["next"]
            self.given_up[flow] = [tuple(gap) for gap in mark["abandoned"]]
            if mark.get("delivery") == "at_least_once":
                self.kept.add(flow)
        if past and not state:  # after a crash
            self.next.update(past.next)
            self.given_up.update({flow: list(gaps) for flow, gaps in past.given_up.items()})
            self.kept.update(past.next)
        self.restored = [
            Message.parse(*(base64.b64decode(held[part]) for part in ("header", "content")))
            for held in (state or {}).get("held", [])]

    def state(self) -> dict:
        """What the next incarnation goes on from."""
        marks = [
            {"source": flow[0], "destination": flow[1], "incarnation": flow[2], "next": next,
             "abandoned": self.given_up[flow]}
            | ({"delivery": "at_least_once"} if flow in self.kept else {})
            for flow, next in self.next.items()]
        held = [
            {"header": base64.b64encode(message.header()).decode(),
             "content": base64.b64encode(message.content).decode()}
            for flow in self.held.values() for _, message, _ in flow.values() if message]
        return {"marks": marks, "held": held}

    @property
    def held_count(self):
        return sum(map(len, self.held.values()))

    def accept(self, message: Message, now: float) -> list:
        flow, sequence = message.flow, message.sequence
        if message.kind not in (CONTENT, GAP) or sequence < 1:
            return []
        if message.is_kept:
            self.kept.add(flow)
        is_kept = flow in self.kept
        if message.kind == GAP and is_kept:
            return self.missed(message)
        if flow not in self.next:
            is_topic = flow[1].startswith("topic:")
            settles = is_topic and now < self.settling_until
            # What was delivered of the class before stands in the histories, which were read.
            begins_at_one = settles or is_kept or self.knows_all and not is_topic
            self.next[flow] = 1 if begins_at_one else sequence
            if settles:
                self.unsure.add(flow)  # earlier ones may be on their way, or there are none
        held, next = self.held[flow], self.next[flow]
        if message.kind == GAP:
            self.note_gap(held, next, message, now)
        elif sequence < next:
            is_late = any(low <= sequence <= high for low, high in self.given_up[flow])
            return [("late" if is_late else "repeat_dropped", message, {"envelope": token(message.identity)})]
        elif sequence in held and held[sequence][1]:
            return [("repeat_dropped", message, {"envelope": token(message.identity)})]
        elif is_kept and sequence > next and self.held_count >= self.HELD_MAX:
            self.deferred += 1  # its sender has it yet
            return []
        else:
            held[sequence] = (sequence, message, now)
        self.since.setdefault(flow, now)
        outcomes = self.advance(flow)
        while self.held_count > self.HELD_MAX and not is_kept:
            outcomes += self.give_up(flow, "more is held than the limit allows")
        return outcomes

    @staticmethod
    def note_gap(held, next, notice: Message, now):
        """Only what is neither delivered nor held is missing."""
        try:
            start, through = max(notice.json["from"], next), notice.json["through"]
        except (ValueError, KeyError, TypeError):
            return
        for sequence in sorted(sequence for sequence in held if start <= sequence <= through):
            if sequence > start:
                held[start] = (sequence - 1, None, now)
            start = held[sequence][0] + 1
        if start <= through:
            held[start] = (through, None, now)

    @staticmethod
    def missed(notice: Message) -> list:
        """They are dropped, and will come again: their sender is to be told."""
        try:
            return [("missing", notice, {"from": notice.json["from"], "through": notice.json["through"]})]
        except (ValueError, KeyError, TypeError):
            return []

    def missing(self, flow) -> list:
        """What is not there before what is held."""
        next, missing = self.next.get(flow, 1), []
        for sequence in sorted(self.held[flow] if flow in self.held else []):
            if sequence > next:
                missing.append([next, sequence - 1])
            next = self.held[flow][sequence][0] + 1
        return missing

    def patience(self, flow):
        return self.KEPT_PATIENCE if flow in self.kept else self.PATIENCE

    def advance(self, flow) -> list:
        """Hands out what is held as far as it is whole."""
        held, outcomes = self.held[flow], []
        while self.next[flow] in held:
            through, message, _ = held.pop(self.next[flow])
            outcomes += [("deliver", message, {})] if message else self.gap(
                flow, through, "announced as missing")
            self.next[flow] = through + 1
            self.unsure.discard(flow)
        if not held:
            self.since.pop(flow, None)
        return outcomes

    def gap(self, flow, through, reason) -> list:
        source, destination, incarnation = flow
        self.given_up[flow].append((self.next[flow], through))
        return [("gap", None, {
            "source": source, "destination": destination, "incarnation": incarnation,
            "from": self.next[flow], "through": through, "reason": reason})]

    def give_up(self, flow, reason) -> list:
        first = min(self.held[flow])
        outcomes = [] if flow in self.unsure else self.gap(flow, first - 1, reason)
        self.next[flow] = first
        return outcomes + self.advance(flow)

    def expire(self, now: float) -> list:
        """What is ahead of a gap is not held for ever."""
        outcomes = []
        for flow in list(self.since):
            patience = self.patience(flow)
            while flow in self.since and self.since[flow] + patience <= now:
                # What came first may have been handed out meanwhile.
                self.since[flow] = min(since for _, _, since in self.held[flow].values())
                if self.since[flow] + patience <= now:
                    outcomes += self.give_up(flow, f"not there after {patience} s")
        return outcomes
