"""Contents that are too large for one message of the NATS server: sent in several, put together."""

import time

import xxhash

OFFSET, SIZE, DIGEST = "synmesh-chunk", "synmesh-size", "synmesh-digest"
CHUNK_MAX = 8_000_000  # larger ones are slower
CONTENT_MAX = 1 << 30


def digest_text(digest) -> str:
    return "xxh3:" + digest.hexdigest()


def split(headers: dict, content: bytes, max_payload: int):
    """The chunks of a content, as headers and bytes; they are no events, so say no version."""
    own = {name: value for name, value in headers.items() if name != "ce-specversion"}
    room = max_payload - 192 - sum(len(name) + len(value) + 4 for name, value in own.items())
    step, digest = min(room, CHUNK_MAX), xxhash.xxh3_64()
    if step < 64:
        raise ValueError(f"messages of {max_payload} bytes leave no room for a chunk: raise max_payload")
    for offset in range(0, len(content), step):
        piece = content[offset:offset + step]
        digest.update(piece)
        place = {OFFSET: str(offset), SIZE: str(len(content))}
        if offset + step >= len(content):
            place[DIGEST] = digest_text(digest)
        yield own | place, piece


class Assembly:
    """Contents that lack chunks: at most 64, and 1 GiB together, each for 10 s after its last one."""

    CONTENTS_MAX, TIME = 64, 10

    def __init__(self):
        self.parts, self.ended, self.began = {}, [], time.monotonic()

    def take(self, message, headers: dict):
        """The content once it is whole, or why it never will be, or neither."""
        key = (message.source, message.destination, message.incarnation, message.sequence, message.hops)
        try:
            offset, size = int(headers[OFFSET]), int(headers[SIZE])
        except (KeyError, ValueError):
            return None, "no chunk"
        if offset == 0:  # also where its sender began once more
            self.parts.pop(key, None)
            self.ended = [other for other in self.ended if other != key]
            held = sum(part["size"] for part in self.parts.values())
            if len(self.parts) >= self.CONTENTS_MAX or not 0 < size <= CONTENT_MAX - held:
                return self.end(key, "more is sent in chunks than is put together at a time")
            self.parts[key] = {"size": size, "bytes": bytearray(), "digest": xxhash.xxh3_64()}
        part = self.parts.get(key)
        if part is None:
            known = key in self.ended or time.monotonic() < self.began + self.TIME
            return (None, None) if known else self.end(key, "a chunk of its content is missing")
        piece = message.content
        if offset != len(part["bytes"]) or size != part["size"] or not 0 < len(piece) <= size - offset:
            return self.end(key, "a chunk of its content is missing")
        part["bytes"] += piece
        part["digest"].update(piece)
        part["message"], part["latest"] = message, time.monotonic()
        if len(part["bytes"]) < size:
            return None, None
        if headers.get(DIGEST) != digest_text(part["digest"]):
            return self.end(key, "its content, put together, is not what was sent")
        return bytes(self.parts.pop(key)["bytes"]), None

    def end(self, key, reason):
        self.parts.pop(key, None)
        self.ended = self.ended[-255:] + [key]
        return None, reason

    def expired(self):
        """Messages whose rest did not come in time, and why they are given up."""
        now = time.monotonic()
        over = [key for key, part in self.parts.items() if part["latest"] + self.TIME <= now]
        reason = f"the rest of its content did not come within {self.TIME} s"
        return [(self.parts[key]["message"], self.end(key, reason)[1]) for key in over]
