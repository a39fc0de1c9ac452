"""Shared-memory pools by mapping, as Documentation/shared-memory.md lays them out.

    pool = Pool({"name": "clouds", "path": path, "wait_ms": 2000, "when_full": "fail"})
    with pool.read({"slot": 3, "generation": 7, "size": 100, "digest": "xxh3:…"}) as content:
        use(content)                           # where it lies, without a copy
    reference = pool.publish(content, readers=1)   # None where every slot is in use

Who uses a slot is said by the kernel's locks on bytes of the file, which go with a process that is
killed: byte 2i is slot i's content, byte 2i + 1 its record, for those who share the content.
"""

import contextlib
import fcntl
import mmap
import os
import struct
import time

import xxhash

MAGIC = int.from_bytes(b"SYNMPOOL", "little")
RECORDS, RECORD_SIZE = 128, 128
FREE, LOANED, PUBLISHED = 0, 1, 2
NONE, WRITE, VERIFY = 0, 1, 2
# The words of a record, eight bytes each.
STATE, GENERATION, OWNER, OWNER_START, SIZE, DIGEST, HAS_DIGEST, PENDING, EXPIRES = range(9)
LOANS, READS, EXPIRED, RECLAIMED, CORRUPTED = range(9, 14)


class PoolError(Exception):
    """The content is gone, or is not what was published."""


class Pool:
    def __init__(self, about: dict):
        """Opens a pool that `SYNMESH_POOLS` tells of."""
        self.name, path = about["name"], about["path"]
        self.wait = about.get("wait_ms", 0) / 1_000
        self.fails_when_full = about.get("when_full", "fail") == "fail"
        self.file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        status = os.fstat(self.file)
        self.map = memoryview(mmap.mmap(self.file, status.st_size))
        self.words = self.map.cast("Q")
        magic, version, size, _, _, self.contents, self.stride, self.slot_size, self.slots, \
            self.checksum, self.lease, inode = self.words[:12]
        if (magic, version, size, inode) != (MAGIC, 2, status.st_size, status.st_ino):
            raise PoolError(f"{path} is no pool that this program knows")
        self.readings = [0] * self.slots

    def lock(self, byte: int, kind: int, patience: float = 0) -> bool:
        """Whether the lock could be had in time; it belongs to this opening of the file."""
        end = time.monotonic() + patience
        while True:
            try:
                fcntl.fcntl(self.file, fcntl.F_OFD_SETLK, struct.pack("hhqqi4x", kind, 0, byte, 1, 0))
                return True
            except BlockingIOError:
                if time.monotonic() >= end:
                    return False
                time.sleep(0.0001)

    @contextlib.contextmanager
    def record(self, slot: int, patience: float = 1):
        """The record's words, under its lock, for a reader; None where that cannot be had."""
        if not self.lock(2 * slot + 1, fcntl.F_WRLCK, patience):
            yield None
            return
        try:
            yield self.words_of(slot)
        finally:
            self.lock(2 * slot + 1, fcntl.F_UNLCK)

    def words_of(self, slot: int) -> memoryview:
        start = (RECORDS + slot * RECORD_SIZE) // 8
        return self.words[start:start + RECORD_SIZE // 8]

    def content(self, slot: int, size: int) -> memoryview:
        start = self.contents + slot * self.stride
        return self.map[start:start + size]

    @contextlib.contextmanager
    def read(self, reference: dict):
        """What was published, for as long as the block lasts; each reference is for one reading."""
        slot, size = reference["slot"], reference["size"]
        if not 0 <= slot < self.slots or not self.share(slot, reference["generation"]):
            raise PoolError("it was read as often as it was sent, or nobody came in time")
        self.readings[slot] += 1
        try:
            with self.record(slot) as record:
                if record is None or record[STATE] != PUBLISHED \
                        or record[GENERATION] != reference["generation"]:
                    raise PoolError("it was read as often as it was sent, or nobody came in time")
                record[READS] += 1
                record[PENDING] -= min(1, record[PENDING])
                if record[SIZE] != size or not self.is_intact(slot, record, reference.get("digest")):
                    record[CORRUPTED] += 1
                    raise PoolError("it is not what was published")
            yield self.content(slot, size).toreadonly()
        finally:
            self.readings[slot] -= 1
            if not self.readings[slot]:
                self.lock(2 * slot, fcntl.F_UNLCK)

    def share(self, slot: int, generation: int, patience: float = 1) -> bool:
        """Joins a slot's readers; who looks for a free slot may have it for a moment."""
        end, record = time.monotonic() + patience, self.words_of(slot)
        while record[STATE] == PUBLISHED and record[GENERATION] == generation:
            if self.readings[slot] or self.lock(2 * slot, fcntl.F_RDLCK):
                return True
            if time.monotonic() > end:
                raise PoolError("somebody has kept the slot's content for a second")
        return False

    def is_intact(self, slot: int, record, described) -> bool:
        published = f"xxh3:{record[DIGEST]:016x}" if record[HAS_DIGEST] else None
        if described and described != published:
            return False
        return self.checksum != VERIFY or published == self.digest(slot, record[SIZE])

    def digest(self, slot: int, size: int) -> str:
        return "xxh3:" + xxhash.xxh3_64_hexdigest(self.content(slot, size))

    def publish(self, content, readers: int):
        """Writes a content for so many readers; its reference, or None where no slot is free."""
        if len(content) > self.slot_size:
            raise PoolError(f"a slot has {self.slot_size} bytes: make the pool's size larger")
        for slot in range(self.slots):
            if not self.readings[slot] and self.take(slot):
                break
        else:
            return None
        self.content(slot, len(content))[:] = content
        digest = None if self.checksum == NONE else self.digest(slot, len(content))
        record = self.words_of(slot)
        record[SIZE] = len(content)
        record[DIGEST], record[HAS_DIGEST] = int(digest[5:], 16) if digest else 0, bool(digest)
        record[PENDING], record[EXPIRES] = readers, time.monotonic_ns() + self.lease
        generation = record[GENERATION]
        record[STATE] = PUBLISHED  # last: now it is true
        self.lock(2 * slot, fcntl.F_UNLCK)
        reference = {"slot": slot, "generation": generation, "size": len(content)}
        return reference | ({"digest": digest} if digest else {})

    def take(self, slot: int) -> bool:
        """Lends a slot that nobody uses, and to whom no reader may still come."""
        record = self.words_of(slot)
        if self.is_awaited(record) or not self.lock(2 * slot, fcntl.F_WRLCK):
            return False
        # Looked at again: who has the content alone is the only one who changes the record.
        if self.is_awaited(record):
            self.lock(2 * slot, fcntl.F_UNLCK)
            return False
        record[EXPIRED] += bool(record[STATE] == PUBLISHED and record[PENDING])
        record[RECLAIMED] += record[STATE] == LOANED  # its owner is dead: the lock was free
        record[STATE] = FREE
        record[GENERATION] += 1
        record[OWNER], record[OWNER_START] = os.getpid(), start_time()
        record[PENDING] = record[HAS_DIGEST] = 0
        record[LOANS] += 1
        record[STATE] = LOANED
        return True

    def is_awaited(self, record: memoryview) -> bool:
        now = time.monotonic_ns()
        return record[STATE] == PUBLISHED and record[PENDING] > 0 \
            and now < record[EXPIRES] <= now + self.lease


def start_time() -> int:
    """When this process started, in the kernel's ticks: numbers of processes are used again."""
    with open("/proc/self/stat", encoding="utf-8") as file:
        return int(file.read().rpartition(")")[2].split()[19])
