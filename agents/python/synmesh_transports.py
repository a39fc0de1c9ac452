"""The ways into the mesh, ZeroMQ and NATS, and the control socket."""

import asyncio
import json

import zmq
import zmq.asyncio

import synmesh_chunks
from synmesh_wire import CONTENT, CREDIT, HELLO, JSON, MARKER, Message, under


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


class Last:
    """The last marker of one way in, with the number of its move."""

    def __init__(self):
        self.epochs, self.came = set(), asyncio.Event()

    def take(self, marker):
        self.epochs.add(marker.content.decode())
        self.came.set()

    async def wait(self, epoch):
        while not self.epochs or epoch is not None and str(epoch) not in self.epochs:
            self.came.clear()
            await self.came.wait()


class ZeroMQ:
    name, window = "zmq", 1_000

    def __init__(self, agent, environment):
        self.agent, self.environment = agent, environment
        self.context, self.tasks = zmq.asyncio.Context(), []
        self.publishers, self.subscribers = {}, {}  # by the proxy's endpoint
        self.confirmations: dict[bytes, asyncio.Event] = {}
        self.attached, self.echoed = asyncio.Event(), asyncio.Event()
        self.last = {"branch": Last()}  # the markers behind which nothing follows
        self.is_registered, self.owed, self.hellos, self.branch_start = True, 0, 0, None

    def socket(self, kind, endpoint, **options):
        socket = self.context.socket(kind)
        socket.linger = 1_000
        for option, value in options.items():
            setattr(socket, option, value)
        socket.connect(endpoint)
        return socket

    def read(self, socket, handle):
        self.tasks.append(asyncio.create_task(read(socket, handle)))

    async def attach(self):
        self.branch = self.socket(
            zmq.DEALER, self.environment.branch, identity=self.environment.name.encode())
        self.read(self.branch, self.from_branch)
        for _ in range(10):
            await self.say_hello()
            if await within(1, self.attached.wait()):
                break
        if not self.attached.is_set() or not self.is_registered:
            raise Unreachable(f"the branch at {self.environment.branch} "
                              + ("does not answer" if self.is_registered else "has no such agent"))

    async def say_hello(self):
        hello = {"incarnation": self.environment.incarnation, "window": self.window, "batches": True}
        self.owed, self.hellos = 0, self.hellos + 1
        await self.say(HELLO, "hello", json.dumps(hello).encode())

    async def say(self, kind, type, content):
        """Says something to the branch itself: an empty destination, no sequence."""
        message = Message(self.environment.name, "", self.environment.incarnation, 0, kind, type,
                          self.agent.now, JSON, content)
        await self.branch.send_multipart([b"", message.header(), content])

    async def from_branch(self, frames):
        message = Message.parse(*frames) if len(frames) == 2 else None
        if message is None:
            return
        if message.kind == HELLO:
            answer = message.json
            self.is_registered = answer.get("registered", True)
            if answer.get("again") or self.branch_start not in (None, answer.get("incarnation")):
                await self.say_hello()  # it was started again, or the connection was lost
                asyncio.create_task(self.agent.outbox.restart())
            self.branch_start = answer.get("incarnation")
            self.attached.set()
        elif message.kind == MARKER and message.type == "last":
            self.last["branch"].take(message)
        elif message.kind == MARKER:
            self.echoed.set()
        else:
            for part in message.parts():
                await self.agent.take(part, self.hellos if part.kind == CONTENT else None)

    async def consumed(self, hellos):
        """A content that came after so many hellos: with each of them the whole window was given."""
        self.owed += hellos == self.hellos
        if self.owed >= self.window // 2:
            owed, self.owed = self.owed, 0
            await self.say(CREDIT, "credit", str(owed).encode())

    def check(self, destination, content):
        topic = destination.removeprefix("topic:")
        if topic != destination and not self.proxy_of(topic):
            raise ValueError(f"no topic proxy serves '{topic}'")

    def proxy_of(self, topic):
        served = [(len(prefix), proxy) for proxy in self.environment.topic_proxies
                  for prefix in proxy["prefixes"] if under(topic, prefix)]
        return max(served, key=lambda found: found[0])[1] if served else None

    async def send(self, message):
        topic = message.destination.removeprefix("topic:")
        frames = [topic.encode(), message.header(), message.content]
        if topic == message.destination:
            return await self.branch.send_multipart(frames)
        endpoint = self.proxy_of(topic)["publish"]
        if endpoint not in self.publishers:
            # The proxy subscribes to everything, once; nothing is lost of what is sent after that.
            self.publishers[endpoint] = asyncio.create_task(self.publisher(endpoint))
        await (await self.publishers[endpoint]).send_multipart(frames)

    async def publisher(self, endpoint):
        socket = self.socket(zmq.XPUB, endpoint, xpub_nodrop=1)
        if not await within(5, socket.recv()):
            raise Unreachable(f"the topic proxy at {endpoint} does not answer")
        return socket

    async def subscribe(self, topic):
        for proxy in self.environment.topic_proxies:
            if not any(under(topic, prefix) or under(prefix, topic) for prefix in proxy["prefixes"]):
                continue
            endpoint = proxy["subscribe"]
            if endpoint not in self.subscribers:
                socket = self.subscribers[endpoint] = self.socket(zmq.SUB, endpoint, rcvhwm=0)
                socket.subscribe(f"_marker.{self.environment.name}")
                self.last[endpoint] = Last()
                self.read(socket, lambda frames, endpoint=endpoint: self.from_topics(frames, endpoint))
            self.subscribers[endpoint].subscribe(topic)
            # Behind the others on the same connection: its answer says that they hold.
            name = f"_confirm.{self.environment.name}.{self.environment.incarnation}"
            confirmation = f"{name}-{len(self.confirmations) + 1}".encode()
            confirmed = self.confirmations[confirmation] = asyncio.Event()
            self.subscribers[endpoint].subscribe(confirmation)
            if not await within(5, confirmed.wait()):
                raise Unreachable(f"the topic proxy at {endpoint} does not confirm '{topic}'")

    async def from_topics(self, frames, endpoint):
        message = Message.parse(*frames[1:]) if len(frames) == 3 else None
        if message is None:
            return
        if frames[0] in self.confirmations:
            self.confirmations[frames[0]].set()
            self.subscribers[endpoint].unsubscribe(frames[0])
        elif message.kind == MARKER:
            self.last[endpoint].take(message)
        elif self.agent.is_subscribed(message.destination):
            for part in message.parts():
                await self.agent.take(part)

    async def drain_inbound(self, seconds, epoch):
        waits = (last.wait(epoch) for last in self.last.values())
        return await within(seconds, asyncio.gather(*waits))

    async def drain_outbound(self, seconds):
        await self.say(MARKER, "outbound", b"1")
        return await within(seconds, self.echoed.wait())

    async def close(self):
        for task in self.tasks:
            task.cancel()
        self.context.destroy(linger=1_000)


class NATS:
    name = "nats"

    def __init__(self, agent, environment):
        self.agent, self.environment, self.tasks, self.subscriptions = agent, environment, [], []
        self.chunks = synmesh_chunks.Assembly()

    async def attach(self):
        import nats
        self.disconnected = nats.errors.ConnectionClosedError
        try:
            self.connection = await nats.connect(
                self.environment.nats, name=f"agent {self.environment.name}",
                connect_timeout=2, max_reconnect_attempts=-1, reconnect_time_wait=0.05,
                allow_reconnect=True, error_cb=self.report,
                reconnected_cb=self.reconnected, pending_size=64 << 20)
        except (OSError, nats.errors.Error) as problem:
            raise Unreachable(f"{self.environment.nats}: {problem!r}") from problem
        await self.listen(f"agent.{self.environment.name}.>")
        self.tasks.append(asyncio.create_task(self.expire()))

    async def expire(self):
        while True:
            await asyncio.sleep(1)
            for message, reason in self.chunks.expired():
                await self.agent.take_incomplete(message, reason)

    async def reconnected(self):
        await self.agent.outbox.restart()

    async def report(self, problem):
        print(f"NATS: {problem!r}", flush=True)

    async def listen(self, subject):
        self.subscriptions.append(await self.connection.subscribe(
            subject, cb=self.take, pending_msgs_limit=-1, pending_bytes_limit=-1))
        await self.connection.flush(5)

    async def take(self, arrival):
        headers = arrival.headers or {}
        message = Message.parse_headers(headers, arrival.data)
        if message is not None and synmesh_chunks.OFFSET in headers:
            content, reason = self.chunks.take(message, headers)
            if reason:
                return await self.agent.take_incomplete(message, reason)
            if content is None:
                return
            message.content = content
        for part in message.parts() if message else []:
            await self.agent.take(part)

    def check(self, destination, content):
        is_translated = destination in self.environment.seed_agents
        if (self.is_large(content) and (is_translated or not self.environment.nats_chunking)
                or len(content) > synmesh_chunks.CONTENT_MAX):
            raise ValueError(f"{len(content)} bytes are more than the server takes: raise max_payload")

    def is_large(self, content):
        return len(content) + 1_024 > self.connection.max_payload

    async def send(self, message):
        topic = message.destination.removeprefix("topic:")
        root = "_seed" if topic in self.environment.seed_agents else "agent"  # its branch gives it on in that wire
        subject = topic if topic != message.destination else f"{root}.{topic}.{message.type}"
        if not self.is_large(message.content):
            return await self.connection.publish(subject, message.content, headers=message.headers())
        unflushed = 0
        for headers, piece in synmesh_chunks.split(
                message.headers(), message.content, self.connection.max_payload):
            await self.connection.publish(subject, piece, headers=headers)
            unflushed += len(piece)
            if unflushed >= 32 << 20:
                await self.connection.flush(10)
                unflushed = 0

    async def subscribe(self, topic):
        for subject in (topic, topic + ".>"):  # what comes twice is dropped as a repeat
            await self.listen(subject)

    async def drain_inbound(self, seconds, epoch):
        return await within(
            seconds, asyncio.gather(*(subscription.drain() for subscription in self.subscriptions)))

    async def drain_outbound(self, seconds):
        return await within(seconds, self.connection.flush(int(seconds)))

    async def close(self):
        for task in self.tasks:
            task.cancel()
        await within(1, self.connection.flush(1))
        await self.connection.close()
