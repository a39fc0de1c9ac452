"""A user of shared-memory pools written from Documentation/shared-memory.md alone.

    pool.py PATH read SLOT GENERATION SIZE DIGEST    prints the bytes as hexadecimal digits
    pool.py PATH publish TEXT READERS                prints SLOT GENERATION SIZE DIGEST
    pool.py PATH loan                                prints the slot, and is killed with it
"""

import fcntl
import mmap
import os
import signal
import struct
import sys
import time

import xxhash

STATE, GENERATION, OWNER, OWNER_START, SIZE, DIGEST, HAS_DIGEST, PENDING, EXPIRES = range(9)
LOANS, READS, EXPIRED, RECLAIMED, CORRUPTED = range(9, 14)
FREE, LOANED, PUBLISHED = range(3)


class Refused(Exception):
    """Stale, corrupted, or no pool."""


class Pool:
    """A pool that was opened."""

    def __init__(self, path):
        self.file = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        status = os.fstat(self.file)
        if status.st_size < 128:
            raise Refused("no pool")
        self.map = mmap.mmap(self.file, status.st_size)
        self.words = memoryview(self.map).cast("Q")
        (magic, version, size, records, record_size, self.contents, self.stride, self.slot_size,
         self.count, self.checksum, self.lease, inode) = self.words[:12]
        if magic.to_bytes(8, "little") != b"SYNMPOOL" or version != 2:
            raise Refused("no pool")
        if (records, record_size) != (128, 128) or size != status.st_size:
            raise Refused("no pool")
        if self.contents != -(-(128 + 128 * self.count) // 4096) * 4096:
            raise Refused("no pool")
        if self.stride != -(-self.slot_size // 4096) * 4096 or inode != status.st_ino:
            raise Refused("no pool")
        if size != self.contents + self.stride * self.count:
            raise Refused("no pool")

    def lock(self, byte, kind):
        request = struct.pack("@hhqqi0q", kind, os.SEEK_SET, byte, 1, 0)
        try:
            fcntl.fcntl(self.file, fcntl.F_OFD_SETLK, request)
        except BlockingIOError:
            return False
        return True

    def change(self, slot):
        end = time.monotonic() + 1
        while not self.lock(2 * slot + 1, fcntl.F_WRLCK):
            if time.monotonic() > end:
                raise Refused("busy")
            time.sleep(0.0001)

    def done(self, slot):
        self.lock(2 * slot + 1, fcntl.F_UNLCK)

    def record(self, slot):
        return self.words[16 + 16 * slot:32 + 16 * slot]

    def content(self, slot, size):
        start = self.contents + slot * self.stride
        return memoryview(self.map)[start:start + size]

    def may_be_lent(self, record):
        if record[STATE] != PUBLISHED or record[PENDING] == 0:
            return True
        left = record[EXPIRES] - time.monotonic_ns()
        return left <= 0 or left > self.lease

    def loan(self):
        for slot in range(self.count):
            record = self.record(slot)
            if not self.may_be_lent(record):
                continue
            if not self.lock(2 * slot, fcntl.F_WRLCK):
                continue
            if not self.may_be_lent(record):
                self.lock(2 * slot, fcntl.F_UNLCK)
                continue
            if record[STATE] == PUBLISHED and record[PENDING] > 0:
                record[EXPIRED] += 1
            elif record[STATE] not in (FREE, PUBLISHED):
                record[RECLAIMED] += 1
            record[STATE] = FREE
            record[GENERATION] += 1
            record[OWNER] = os.getpid()
            with open("/proc/self/stat") as file:
                record[OWNER_START] = int(file.read().rpartition(")")[2].split()[19])
            record[PENDING] = 0
            record[HAS_DIGEST] = 0
            record[LOANS] += 1
            record[STATE] = LOANED
            return slot
        return None

    def publish(self, slot, size, readers):
        record = self.record(slot)
        digest = xxhash.xxh3_64_intdigest(self.content(slot, size)) if self.checksum else None
        record[SIZE] = size
        record[DIGEST] = digest or 0
        record[HAS_DIGEST] = 0 if digest is None else 1
        record[PENDING] = readers
        record[EXPIRES] = time.monotonic_ns() + self.lease
        record[STATE] = PUBLISHED
        self.lock(2 * slot, fcntl.F_UNLCK)
        return slot, record[GENERATION], size, digest

    def read(self, slot, generation, size, digest):
        record = self.record(slot)
        expected = [PUBLISHED, generation]
        if list(record[:2]) != expected or not self.lock(2 * slot, fcntl.F_RDLCK):
            raise Refused("stale")
        try:
            if list(record[:2]) != expected:
                raise Refused("stale")
            self.change(slot)
            record[READS] += 1
            if record[PENDING] > 0:
                record[PENDING] -= 1
            self.done(slot)
            published = record[DIGEST] if record[HAS_DIGEST] else None
            if record[SIZE] != size or digest not in (None, published):
                raise Refused("corrupted")
            content = bytes(self.content(slot, size))
            if self.checksum == 2 and xxhash.xxh3_64_intdigest(content) != published:
                raise Refused("corrupted")
            return content
        finally:
            self.lock(2 * slot, fcntl.F_UNLCK)


def main(path, command, *arguments):
    try:
        pool = Pool(path)
        if command == "read":
            slot, generation, size, digest = arguments
            digest = None if digest == "-" else int(digest)
            print(pool.read(int(slot), int(generation), int(size), digest).hex())
            return
        slot = pool.loan()
        if slot is None:
            raise Refused("full")
        if command == "loan":
            print(slot, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        text, readers = arguments
        content = text.encode()
        pool.content(slot, len(content))[:] = content
        print(*pool.publish(slot, len(content), int(readers)))
    except Refused as reason:
        print(reason)


main(*sys.argv[1:])
