"""An agent that answers every "ping" with an "echo" of the same content, and counts what it hears.

Settings: `to`, `topics`, `subscribe`, `size`. A load sends numbered messages, like those of a probe. A
"ping" that points to shared memory is answered with the bytes that lie there.
"""

from synmesh import BINARY, DESCRIPTOR, Agent, PoolError, run


class Echo(Agent):
    received = 0

    async def handle(self, message):
        self.received += 1
        if message.type != "ping":
            return
        encoding = BINARY if message.encoding == DESCRIPTOR else message.encoding
        try:
            with self.content_of(message) as content:
                await self.send(message.source, "echo", content, encoding, message)
        except PoolError:
            pass  # nothing of it is to be used; the history names it

    async def load(self, number, destination, arguments):
        filler = "x" * ((arguments.get("size") or self.settings.get("size") or 64) - 20)
        await self.send(destination, arguments.get("type") or "message", {"n": number, "text": filler})

    def result(self):
        return {"received": self.received}

    def state(self):
        return self.received

    def restore(self, state):
        self.received = state


if __name__ == "__main__":
    run(Echo)
