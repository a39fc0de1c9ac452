"""Histories of our own, as Documentation/history-format.md has them: MCAP, readable at any instant.

    history = History(path, "echo", clock_offset)
    history.record(message, "sent", "zmq")
    history.annotate({"annotation": "note", "text": "hello"})
    history.close()

New records are written behind the first eight bytes of the record that covers the unused space, and
published by one aligned store of eight bytes: a reader, or a kill, finds a valid file before or after.
"""

import fcntl
import json
import mmap
import os
import struct
import time

import xxhash

from synmesh_wire import token

MAGIC = b"\x89MCAP0\r\n"
HEADER, FOOTER, CHANNEL, MESSAGE, METADATA, DATA_END, UNUSED, FILLER = 1, 2, 4, 5, 12, 15, 128, 129
CONTENT_LIMIT = 65_536
CHUNK = 6
DIGEST = "application/x-synmesh-digest+json"
ENCODINGS = ("binary", "json", "descriptor")


def block(opcode: int, body: bytes) -> bytes:
    return struct.pack("<BQ", opcode, len(body)) + body


def text(value: str) -> bytes:
    return struct.pack("<I", len(value.encode())) + value.encode()


def mapping(members: dict) -> bytes:
    body = b"".join(text(key) + text(str(value)) for key, value in members.items())
    return struct.pack("<I", len(body)) + body


def channel(number: int, topic: str, encoding: str, metadata: dict) -> bytes:
    names = text(topic) + text(encoding) + mapping(metadata)
    return block(CHANNEL, struct.pack("<HH", number, 0) + names)


def message(number: int, sequence: int, logged: int, published: int, data: bytes) -> bytes:
    return block(MESSAGE, struct.pack("<HIQQ", number, sequence & 0xFFFFFFFF, logged, published) + data)


def padded(blocks: bytes) -> bytes:
    """With a filler where one is needed, so that the next block is aligned."""
    misfit = len(blocks) % 8
    return blocks + block(FILLER, bytes(-(len(blocks) + 9) % 8)) if misfit else blocks


TRAILER = block(DATA_END, bytes(4)) + block(FOOTER, bytes(20)) + MAGIC


class History:
    def __init__(self, path: str, process: str, clock_offset: int):
        self.process, self.clock_offset = process, clock_offset
        self.channels: dict[tuple, int] = {}
        self.annotations = 0
        draft = f"{path}.{os.getpid()}"
        self.file = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        fcntl.flock(self.file, fcntl.LOCK_EX)
        about = {"process": process, "format": 1, "clock_offset": clock_offset}
        prologue = padded(
            MAGIC + block(HEADER, text("synmesh") + text("synmesh"))
            + block(METADATA, text("synmesh") + mapping(about))
            + channel(1, "annotations", "json", {"agent": process}))
        os.pwrite(self.file, prologue, 0)
        self.place, self.end = len(prologue), 0
        self.grow()
        try:
            os.link(draft, path)  # never over a file that is there
        finally:
            os.unlink(draft)

    def grow(self):
        """Reserves blocks, puts the trailer behind them, and then covers them as unused."""
        end = self.end + max(1 << 16, min(self.end, 8 << 20))
        os.pwrite(self.file, TRAILER, end)
        os.posix_fallocate(self.file, 0, end + len(TRAILER))
        self.map, self.end = mmap.mmap(self.file, end), end
        unused = struct.pack("<BQ", UNUSED, end - self.place - 9)
        self.map[self.place + 8:self.place + 9] = unused[8:]
        self.map[self.place:self.place + 8] = unused[:8]

    def append(self, blocks: bytes):
        blocks = padded(blocks)
        behind = self.place + len(blocks)
        while behind + 9 > self.end:
            self.grow()
        self.map[behind:behind + 9] = struct.pack("<BQ", UNUSED, self.end - behind - 9)
        self.map[self.place + 8:behind] = blocks[8:]
        self.map[self.place:self.place + 8] = blocks[:8]
        self.place = behind

    @property
    def now(self) -> int:
        return time.monotonic_ns() + self.clock_offset

    def record(self, envelope, direction: str, transport: str):
        """An envelope, as it was sent or delivered; with the cause of what is sent."""
        now, data = self.now, bytes(envelope.content)
        kind = ENCODINGS[envelope.encoding]
        encoding = "application/octet-stream" if kind == "binary" else "json"
        # What may have to be sent again after a crash must be there whole.
        if len(data) > CONTENT_LIMIT and not (envelope.is_kept and direction == "sent"):
            encoding = DIGEST
            digest = "xxh3:" + xxhash.xxh3_64_hexdigest(data)
            data = json.dumps({"digest": digest, "length": len(data)}, separators=(",", ":")).encode()
        metadata = {
            "agent": self.process, "source": envelope.source, "destination": envelope.destination,
            "incarnation": envelope.incarnation, "type": envelope.type, "transport": transport,
            "direction": direction, "lane": "primary", "hops": envelope.hops,
            "content_encoding": kind}
        if envelope.sequence >> 32:
            metadata["sequence_high"] = envelope.sequence >> 32
        if envelope.is_kept:
            metadata["delivery"] = "at_least_once"
        key, blocks = (encoding, *metadata.values()), b""
        number = self.channels.get(key)
        if number is None:
            number = self.channels[key] = len(self.channels) + 2
            topic = f"{envelope.source}/{envelope.destination}/{envelope.type}"
            blocks = channel(number, topic, encoding, metadata)
        blocks += message(number, envelope.sequence, now, envelope.sent, data)
        if envelope.cause and direction == "sent":
            blocks += self.annotation("cause", of=token(envelope.identity), by=token(envelope.cause))
        self.append(blocks)

    def annotate(self, kind: str, **members):
        self.append(self.annotation(kind, **members))

    def annotation(self, kind: str, **members) -> bytes:
        now = self.now
        self.annotations += 1
        data = json.dumps({"annotation": kind, "at": now} | members, separators=(",", ":"))
        return message(1, self.annotations - 1, now, now, data.encode())

    def close(self):
        """Puts the trailer behind the last record, and gives the rest back."""
        self.map[self.place + 8:self.place + len(TRAILER)] = TRAILER[8:]
        self.map[self.place:self.place + 8] = TRAILER[:8]
        self.map.close()
        os.ftruncate(self.file, self.place + len(TRAILER))
        os.close(self.file)


class Recorded:
    """A message as it stands in a history."""

    def __init__(self, body):
        self.channel, self.sequence, _, self.published = struct.unpack_from("<HIQQ", body)
        self.data = bytes(body[22:])


def read(path):
    """Each message of a history, with what its channel says; also of one that nobody closed."""
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[:8] != MAGIC:
            raise ValueError(f"{path} is no history")
        yield from records(memoryview(data)[8:].toreadonly(), {})


def records(data, channels):
    place = 0
    while place + 9 <= len(data):
        opcode, length = struct.unpack_from("<BQ", data, place)
        body = data[place + 9:place + 9 + length]
        place += 9 + length
        if opcode in (UNUSED, DATA_END):
            return
        if opcode == CHUNK:
            names = struct.unpack_from("<I", body, 28)[0]
            yield from records(body[32 + names + 8:], channels)
        elif opcode == CHANNEL:
            channels.update([described(body)])
        elif opcode == MESSAGE and (message := Recorded(body)).channel in channels:
            yield channels[message.channel], message


def described(body):
    """A channel's number, and its topic, encoding and metadata as one mapping."""
    place = 4

    def text():
        nonlocal place
        start = place + 4
        place = start + struct.unpack_from("<I", body, place)[0]
        return str(body[start:place], "utf-8")

    about = {"topic": text(), "encoding": text()}
    place += 4
    while place < len(body):
        name = text()
        about[name] = text()
    return struct.unpack_from("<H", body)[0], about
