"""The way into the mesh over ZeroMQ: a DEALER to the branch, an XPUB and a SUB for each topic proxy."""

import asyncio
import json

import zmq
import zmq.asyncio

from synmesh_transports import Unreachable, Way, read, within
from synmesh_wire import CONTENT, CREDIT, HELLO, JSON, MARKER, Message, under

ASK, ANSWER, SETTLE = "move", "moved", "settle"


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


class Publisher:
    """The way to one topic proxy, and what that says there: by subscriptions."""

    def __init__(self, socket, word):
        self.socket, self.word = socket, word
        self.wanted, self.settled = set(), set()
        self.connected, self.was_connected, self.turn = asyncio.Event(), False, asyncio.Lock()

    async def heed(self, frames):
        is_wanted, topic = frames[0][:1] == b"\1", frames[0][1:]
        if topic.startswith(b"_settle."):
            if is_wanted:
                self.settled.add(topic)
                self.word.set()
        elif is_wanted:
            self.wanted.add(topic)
            self.was_connected = True
            self.connected.set()
        else:
            self.wanted.discard(topic)
            if not self.wanted:
                self.connected.clear()

    async def wait(self):
        """The proxy subscribes to everything, once; nothing is lost of what is sent after that."""
        if not self.connected.is_set() and not await within(5, self.connected.wait()):
            if not self.was_connected:
                raise Unreachable(f"the topic proxy at {self.socket.last_endpoint.decode()} does not answer")

    async def send(self, frames):
        async with self.turn:
            await self.wait()
            await self.socket.send_multipart(frames)


class ZeroMQ(Way):
    name, window, is_connected = "zmq", 1_000, True

    def __init__(self, agent, environment, is_held=False):
        super().__init__(agent, environment, is_held)
        self.sockets = []
        self.publishers, self.subscribers = {}, {}  # by the proxy's endpoint
        self.confirmations: dict[bytes, asyncio.Event] = {}
        self.attached, self.echoed = asyncio.Event(), asyncio.Event()
        self.last = {"branch": Last()}  # the markers behind which nothing follows
        self.is_registered, self.owed, self.hellos, self.branch_start = True, 0, 0, None
        # What the proxies say of a move: where the agent lives, and up to which move all has gone on.
        self.word, self.decision, self.settled, self.ended = asyncio.Event(), None, 0, {}
        self.questions = f"{environment.name}.{environment.incarnation}-"

    def socket(self, kind, endpoint, **options):
        socket = zmq.asyncio.Context.instance().socket(kind)
        self.sockets.append(socket)
        socket.linger = 1_000
        for option, value in options.items():
            setattr(socket, option, value)
        socket.connect(endpoint)
        return socket

    def read(self, socket, handle):
        self.begin(read(socket, handle))

    async def attach(self, is_publishing=False):
        """With the ways to all topic proxies where the agent publishes: they are to be asked, too."""
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
        for proxy in self.environment.topic_proxies if is_publishing else []:
            await self.publisher(proxy["publish"]).wait()

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
        elif message.kind == MARKER and message.type in (ANSWER, SETTLE):
            self.heed(message)
        elif message.kind == MARKER:
            self.echoed.set()
        else:
            for part in message.parts():
                part.came_on, credit = self.name, None
                if part.kind == CONTENT and self.held is None:
                    credit = (self, self.hellos)
                elif part.kind == CONTENT:  # the answer to a move may be behind more than the window
                    await self.consumed(self.hellos)
                await self.hand_out(self.agent.take, part, credit)

    async def consumed(self, hellos):
        """A content that came after so many hellos: with each of them the whole window was given."""
        if self.is_closed:
            return
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
        await self.publisher(self.proxy_of(topic)["publish"]).send(frames)

    def publisher(self, endpoint):
        if endpoint not in self.publishers:
            socket = self.socket(zmq.XPUB, endpoint, xpub_nodrop=1, xpub_verbose=1)
            self.publishers[endpoint] = Publisher(socket, self.word)
            self.read(socket, self.publishers[endpoint].heed)
        return self.publishers[endpoint]

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
        elif frames[0].startswith(b"_last."):
            self.ended[endpoint] = int(frames[0].rpartition(b"-")[2])
            self.subscribers[endpoint].unsubscribe(frames[0])
            self.word.set()
        elif message.kind == MARKER:
            self.last[endpoint].take(message)
        elif self.agent.is_subscribed(message.destination):
            for part in message.parts():
                part.came_on = self.name
                await self.hand_out(self.agent.take, part)

    # What an agent that moves and the proxies say to each other.

    def heed(self, message):
        try:
            route = (message.json["transport"], int(message.json["epoch"]))
        except (ValueError, KeyError, TypeError):
            return
        if message.type == ANSWER:
            self.decision = route
        else:
            self.settled = max(self.settled, route[1])
        self.word.set()

    async def ask(self, transport, epoch):
        """Where it is to live, and each topic proxy for the end of what it has for the agent here."""
        await self.say(MARKER, ASK, json.dumps({"transport": transport, "epoch": epoch}).encode())
        question = f"_last.{self.questions}{epoch}".encode()
        for endpoint, socket in self.subscribers.items():
            if self.ended.get(endpoint, 0) < epoch:
                socket.unsubscribe(question)  # the proxy hears of the first of equal ones only
                socket.subscribe(question)

    def is_answered(self, transport, epoch):
        """Where it stays, it hears on as before; else there is nothing behind the last of the old way."""
        return self.decision is not None and self.decision[1] >= epoch and (
            self.decision != (transport, epoch)
            or all(self.ended.get(endpoint, 0) >= epoch for endpoint in self.subscribers))

    async def ask_to_settle(self, former, epoch):
        """Whether all has gone on that was sent on the way that ends."""
        await self.say(MARKER, SETTLE, json.dumps({"transport": former, "epoch": epoch}).encode())
        question = f"_settle.{self.questions}{epoch}"
        marker = Message(self.environment.name, "topic:" + question, self.environment.incarnation, 0,
                         MARKER, SETTLE, self.agent.now)
        for publisher in self.publishers.values():
            if publisher.wanted and question.encode() not in publisher.settled:
                await publisher.send([question.encode(), marker.header(), b""])

    def is_settled(self, epoch):
        question = f"_settle.{self.questions}{epoch}".encode()
        return self.settled >= epoch and all(
            question in publisher.settled for publisher in self.publishers.values())

    async def drain_inbound(self, seconds, epoch):
        waits = (last.wait(epoch) for last in self.last.values())
        return await within(seconds, asyncio.gather(*waits))

    async def drain_outbound(self, seconds):
        await self.say(MARKER, "outbound", b"1")
        return await within(seconds, self.echoed.wait())

    async def close(self):
        self.is_closed = True
        for task in self.tasks:
            task.cancel()
        for socket in self.sockets:
            socket.close()  # what is unsent is still sent while the context lives
