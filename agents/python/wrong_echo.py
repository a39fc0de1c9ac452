"""An echo with a defect, for controls: what a rehearsal must catch in a program that is not ours.

    wrong_echo.py drop|repeat|alter N NAME    every Nth "ping" gets no "echo", two, or another

It speaks the seed's wire on the transport that it is started on (SYNMESH_TRANSPORT).
"""

import asyncio
import json
import os
import sys

import nats_agent


class Defect:
    def __init__(self, kind: str, every: int) -> None:
        self.kind = kind
        self.every = every
        self.pings = 0

    def answers(self, content) -> list:
        self.pings += 1
        if self.pings % self.every:
            return [content]
        if self.kind == "drop":
            return []
        if self.kind == "repeat":
            return [content, content]
        return [{**content, "n": -1}]


class WrongEcho(nats_agent.Echo):
    defect: Defect

    async def heard(self, packet) -> None:
        message = json.loads(packet.data)
        if message["type"] == "ping":
            for content in self.defect.answers(message["content"]):
                await self.send_message(message["from"], "echo", content)


async def over_nats(defect: Defect, name: str) -> None:
    agent = WrongEcho(name)
    agent.defect = defect
    await agent.connect()
    await agent.run()


def over_zeromq(defect: Defect, name: str) -> None:
    import zmq

    socket = zmq.Context().socket(zmq.DEALER)
    socket.setsockopt_string(zmq.IDENTITY, name)
    socket.connect(os.environ["SYNMESH_BRANCH_ENDPOINT"])
    while True:
        message = json.loads(socket.recv())
        if message["type"] == "ping":
            for content in defect.answers(message["content"]):
                answer = {"from": name, "to": message["from"], "type": "echo", "content": content}
                socket.send(json.dumps(answer).encode())


def main() -> None:
    kind, every, name = sys.argv[1:]
    defect = Defect(kind, int(every))
    if os.environ["SYNMESH_TRANSPORT"] == "nats":
        asyncio.run(over_nats(defect, name))
    else:
        over_zeromq(defect, name)


if __name__ == "__main__":
    main()
