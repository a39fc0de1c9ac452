"""An agent as a team may have it after the migration: the seed's NatsAgentClient over nats-py, and
nothing of ours.

    nats_agent.py echo NAME             answers every "ping" with an "echo" of the same content
    nats_agent.py count NAME TO RATE    sends "ping" after "ping", RATE a second, and counts "echo"es

Plain JSON {"from", "to", "type", "content"} on `agent.<to>.<type>`, without headers. It knows its
name and the server (SYNMESH_NATS_URL). What `seed_echo.py` and `seed_count.py` do over ZeroMQ, this
does over NATS. Its branch watches the subjects, and numbers and records what passes.
"""

import asyncio
import json
import os
import sys

import nats


class NatsAgentClient:
    """The seed's client, with the subscription to its own subjects that it needs to be spoken to."""

    def __init__(self, agent_name: str) -> None:
        self.agent_name = agent_name
        self.nc = None

    async def connect(self) -> None:
        self.nc = await nats.connect(os.environ["SYNMESH_NATS_URL"])

    async def send_message(self, to_agent: str, message_type: str, content) -> None:
        subject = f"agent.{to_agent}.{message_type}"
        message = {
            "from": self.agent_name,
            "to": to_agent,
            "type": message_type,
            "content": content,
        }
        await self.nc.publish(subject, json.dumps(message).encode())

    async def subscribe(self, topic_pattern: str, callback) -> None:
        await self.nc.subscribe(topic_pattern, cb=callback)


class Echo(NatsAgentClient):
    async def run(self) -> None:
        await self.subscribe(f"agent.{self.agent_name}.>", self.heard)
        await asyncio.Event().wait()

    async def heard(self, packet) -> None:
        message = json.loads(packet.data)
        if message["type"] == "ping":
            await self.send_message(message["from"], "echo", message["content"])


class Counter(NatsAgentClient):
    echoes = 0

    async def run(self, to_agent: str, rate: float) -> None:
        await self.subscribe(f"agent.{self.agent_name}.>", self.heard)
        number = 0
        while True:
            await self.send_message(to_agent, "ping", {"n": number})
            number += 1
            await asyncio.sleep(1 / rate)

    async def heard(self, packet) -> None:
        if json.loads(packet.data)["type"] == "echo":
            self.echoes += 1
            if self.echoes % 100 == 0:
                print(f"{self.echoes} echoes", flush=True)


async def main() -> None:
    role, name, *rest = sys.argv[1:]
    agent = Echo(name) if role == "echo" else Counter(name)
    await agent.connect()
    if role == "echo":
        await agent.run()
    else:
        await agent.run(rest[0], float(rest[1]))


if __name__ == "__main__":
    asyncio.run(main())
