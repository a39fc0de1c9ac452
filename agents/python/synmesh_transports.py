"""What the ways into the mesh have in common, the way over NATS, and the control socket."""

import asyncio
import collections

import nats
import zmq
import zmq.asyncio

import synmesh_chunks
from synmesh_wire import Message

PATIENCE = 3_600

class Unreachable(Exception):
    """The branch, the NATS server or a topic proxy did not answer: exit code 69."""


def control_socket(environment):
    socket = zmq.asyncio.Context().socket(zmq.DEALER)
    socket.linger = 1_000
    socket.identity = f"agent:{environment.name}:{environment.incarnation}".encode()
    socket.connect(environment.control)
    return socket


async def read(socket, handle):
    """Hands every message of a socket to `handle`, one at a time."""
    while True:
        await handle(await socket.recv_multipart())


async def within(seconds, waiting) -> bool:
    try:
        await asyncio.wait_for(waiting, seconds)
        return True
    except TimeoutError:
        return False


class Way:
    """One way into the mesh. While it is held, nothing of what comes on it is handed out."""

    def __init__(self, agent, environment, is_held=False):
        self.agent, self.environment, self.tasks, self.is_closed = agent, environment, [], False
        self.held = collections.deque() if is_held else None

    def begin(self, work):
        task = asyncio.create_task(work)
        task.add_done_callback(self.agent.watch)
        self.tasks.append(task)

    async def hand_out(self, call, *arguments):
        if self.held is None:
            await call(*arguments)
        else:
            self.held.append((call, arguments))

    async def release(self):
        while self.held:  # what comes meanwhile is behind it
            call, arguments = self.held.popleft()
            await call(*arguments)
        self.held = None


class NATS(Way):
    name = "nats"

    def __init__(self, agent, environment, is_held=False):
        super().__init__(agent, environment, is_held)
        self.subscriptions, self.chunks, self.is_ended = [], synmesh_chunks.Assembly(), False

    @property
    def is_connected(self):
        return self.connection.is_connected

    async def attach(self, is_publishing=False):
        self.connection = nats.NATS()
        try:
            await self.connection.connect(
                self.environment.nats, name=f"agent {self.environment.name}",
                connect_timeout=2, max_reconnect_attempts=-1, reconnect_time_wait=0.05,
                allow_reconnect=True, error_cb=self.report,
                reconnected_cb=self.reconnected, pending_size=64 << 20)
        except (OSError, nats.errors.Error) as problem:
            raise Unreachable(f"{self.environment.nats}: {problem!r}") from problem
        await self.listen(f"agent.{self.environment.name}.>")
        self.begin(self.expire())

    async def expire(self):
        while True:
            await asyncio.sleep(1)
            for message, reason in self.chunks.expired():
                await self.hand_out(self.agent.take_incomplete, message, reason)

    async def reconnected(self):
        asyncio.create_task(self.agent.outbox.restart())

    async def report(self, problem):
        print(f"NATS: {problem!r}", flush=True)

    async def listen(self, subject):
        self.subscriptions.append(await self.connection.subscribe(
            subject, cb=self.take, pending_msgs_limit=-1, pending_bytes_limit=-1))
        if not await self.confirm(5):
            raise Unreachable(f"{self.environment.nats} does not confirm '{subject}'")

    async def confirm(self, seconds):
        """Whether the server has all that was sent, and all that it had is here."""
        if not self.is_connected:
            return False
        # Not cancelled where it takes too long: the library ends at an answer that nobody waits for.
        ping = asyncio.create_task(self.ping())
        self.tasks.append(ping)
        ping.add_done_callback(self.tasks.remove)
        done, _ = await asyncio.wait([ping], timeout=seconds)
        return bool(done) and not ping.cancelled() and ping.result()

    async def ping(self):
        try:
            for _ in range(2):  # the library's first one may overtake what was sent before it
                await self.connection.flush(PATIENCE)
            return True
        except nats.errors.Error:
            return False

    async def take(self, arrival):
        if self.is_ended:
            return
        headers = arrival.headers or {}
        message = Message.parse_headers(headers, arrival.data)
        if message is not None and synmesh_chunks.OFFSET in headers:
            content, reason = self.chunks.take(message, headers)
            if reason:
                return await self.hand_out(self.agent.take_incomplete, message, reason)
            if content is None:
                return
            message.content = content
        for part in message.parts() if message else []:
            part.came_on = self.name
            await self.hand_out(self.agent.take, part, None)

    async def end(self):
        """Takes all that the server has until now; one that is away sends nothing more."""
        while self.is_connected and not await self.confirm(0.1):
            pass
        while any(subscription.pending_msgs for subscription in self.subscriptions):
            await asyncio.sleep(0.001)
        self.is_ended = True  # what comes yet comes on the other way, too

    def check(self, destination, content):
        is_translated = destination in self.environment.seed_agents
        if (self.is_large(content) and (is_translated or not self.environment.nats_chunking)
                or len(content) > synmesh_chunks.CONTENT_MAX):
            raise ValueError(f"{len(content)} bytes are more than the server takes: raise max_payload")

    def is_large(self, content):
        return len(content) + 1_024 > self.connection.max_payload

    async def send(self, message):
        topic = message.destination.removeprefix("topic:")
        # Its branch gives it on in the seed's wire.
        root = "_seed" if topic in self.environment.seed_agents else "agent"
        subject = topic if topic != message.destination else f"{root}.{topic}.{message.type}"
        if not self.is_large(message.content):
            return await self.connection.publish(subject, message.content, headers=message.headers())
        unflushed = 0
        for headers, piece in synmesh_chunks.split(
                message.headers(), message.content, self.connection.max_payload):
            await self.connection.publish(subject, piece, headers=headers)
            unflushed += len(piece)
            if unflushed >= 32 << 20:
                await self.confirm(10)
                unflushed = 0

    async def subscribe(self, topic):
        for subject in (topic, topic + ".>"):  # what comes twice is dropped as a repeat
            await self.listen(subject)

    async def drain_inbound(self, seconds, epoch):
        return await within(
            seconds, asyncio.gather(*(subscription.drain() for subscription in self.subscriptions)))

    async def drain_outbound(self, seconds):
        return await self.confirm(seconds)

    async def close(self):
        self.is_closed = True
        await self.confirm(1)
        for task in list(self.tasks):
            task.cancel()
        await within(2, self.connection.close())
