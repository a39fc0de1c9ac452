"""An echo that breaks one clause of the agents' contract, by its name: what `synmesh conformance` finds.

    wrong_agent.py NAME

Each variant differs from agents/python/echo.py in one thing alone.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "../../agents/python"))

import synmesh  # noqa: E402
import synmesh_wire  # noqa: E402
from echo import Echo  # noqa: E402
from synmesh_history import History  # noqa: E402
from synmesh_outbox import Acknowledgements, Outbox  # noqa: E402
from synmesh_pool import Pool  # noqa: E402
from synmesh_wire import BATCH, CREDIT, MARKER, Message, Receiver  # noqa: E402
from synmesh_zeromq import Publisher, ZeroMQ  # noqa: E402

VARIANTS = {}


def variant(change):
    VARIANTS[change.__name__.replace("_", "-")] = change
    return change


def around(owner, name, make):
    """Replaces a method by what `make` makes of the right one."""
    setattr(owner, name, make(getattr(owner, name)))


# The environment, and the first word.


@variant
def exits_with_1():
    around(synmesh, "last_words", lambda right: lambda code, *lines: right(1, *lines))


@variant
def names_no_variable():
    around(synmesh, "last_words", lambda right: lambda code, *lines: right(code, "incomplete"))


def saying(change):
    """Changes what goes over the control socket."""
    async def say(self, _right=Echo.say, **members):
        await _right(self, **(members | change(members)))
    Echo.say = say


@variant
def ready_as_another_incarnation():
    saying(lambda said: {"incarnation": 7} if said["kind"] == "ready" else {})


@variant
def names_process_1():
    saying(lambda said: {"pid": 1} if said["kind"] == "ready" else {})


@variant
def ready_too_early():
    async def subscribe(self, topic, _right=ZeroMQ.subscribe):
        self.later = asyncio.create_task(later(self, topic, _right))

    async def later(self, topic, right):
        await asyncio.sleep(1)
        await right(self, topic)
    ZeroMQ.subscribe = subscribe


# ZeroMQ.


@variant
def attaches_as_another():
    around(ZeroMQ, "socket", lambda right: lambda self, kind, endpoint, **options: right(
        self, kind, endpoint, **({"identity": b"other"} if "identity" in options else options)))


@variant
def says_hello_once():
    async def say_hello(self, _right=ZeroMQ.say_hello, _said=[]):
        if not _said:
            _said.append(True)
            await _right(self)
    ZeroMQ.say_hello = say_hello


def saying_to_branch(change):
    async def say(self, kind, type, content, _right=ZeroMQ.say):
        changed = change(kind, content)
        if changed is not None:
            await _right(self, kind, type, changed)
    ZeroMQ.say = say


@variant
def gives_no_credit():
    saying_to_branch(lambda kind, content: None if kind == CREDIT else content)


@variant
def gives_credit_twice():
    saying_to_branch(
        lambda kind, content: str(int(content) * 2).encode() if kind == CREDIT else content)


@variant
def asks_no_marker():
    saying_to_branch(lambda kind, content: None if kind == MARKER else content)

    async def drain_outbound(self, seconds):
        await self.say(MARKER, "outbound", b"1")
        return True
    ZeroMQ.drain_outbound = drain_outbound


# Envelopes.


def sending(change):
    """Changes a message behind the history's back."""
    async def send(self, message, _right=ZeroMQ.send):
        await _right(self, change(message))
    ZeroMQ.send = send


def with_fields(message, **fields):
    return Message(**(vars(message) | fields))


@variant
def addresses_another():
    async def send(self, message):
        await self.branch.send_multipart([b"nobody", message.header(), message.content])
    ZeroMQ.send = send


@variant
def tells_seconds():
    sending(lambda message: with_fields(message, sent=message.sent // 1_000_000_000))


@variant
def leaves_a_hole():
    async def send(self, destination, *rest, _right=Echo.send):
        if self.sequences.get(destination, 0) == 4:
            self.sequences[destination] = 5
        await _right(self, destination, *rest)
    Echo.send = send


@variant
def counts_from_0():
    async def send(self, destination, *rest, _right=Echo.send):
        self.sequences.setdefault(destination, -1)
        await _right(self, destination, *rest)
    Echo.send = send


def echoing(change):
    async def handle(self, message, _right=Echo.handle):
        await _right(self, change(message))
    Echo.handle = handle


@variant
def alters_long_contents():
    echoing(lambda message: with_fields(message, content=message.content[:1_000]))


@variant
def calls_everything_json():
    echoing(lambda message: message if message.encoding == synmesh.DESCRIPTOR else with_fields(
        message, encoding=synmesh.JSON))


@variant
def names_no_cause():
    around(Message, "header", lambda right: lambda self: right(
        with_fields(self, cause=None) if self.cause else self))


@variant
def takes_any_kind():
    around(Receiver, "accept", lambda right: lambda self, message, now: right(
        self, with_fields(message, kind=1) if message.kind == 9 else message, now))


@variant
def dies_of_nonsense():
    def parse(header, content, _right=Message.parse):
        message = _right(header, content)
        if message is None:
            os._exit(70)
        return message
    Message.parse = staticmethod(parse)


@variant
def alters_batches():
    around(Message, "parts", lambda right: lambda self: right(self) if self.kind != BATCH else [
        with_fields(part, content=b"{}") for part in right(self)])


# Topics.


@variant
def hears_by_bytes():
    Echo.is_subscribed = lambda self, address: True


@variant
def publishes_at_once():
    async def wait(self):
        """Not for the proxy's subscription."""
    Publisher.wait = wait


# The receiver's rule.


@variant
def takes_repeats():
    around(Receiver, "accept", lambda right: lambda self, message, now: [
        ("deliver", message, {}) if outcome == "repeat_dropped" else (outcome, message, members)
        for outcome, message, members in right(self, message, now)])


@variant
def takes_what_overtakes():
    def accept(self, message, now, _right=Receiver.accept):
        self.next[message.flow] = max(self.next.get(message.flow, 1), message.sequence)
        return _right(self, message, now)
    Receiver.accept = accept


@variant
def heeds_no_notice():
    Receiver.note_gap = staticmethod(lambda held, next, message: None)


@variant
def waits_for_ever():
    Receiver.expire = lambda self, now: []


# Commands.


@variant
def obeys_everything():
    async def anything(self, arguments):
        return {}
    Echo.__getattr__ = lambda self, name: (
        anything.__get__(self) if name == "on_fly" else object.__getattribute__(self, name))


@variant
def holds_its_status_back():
    async def on_status(self, arguments, _right=Echo.on_status):
        status = await _right(self, arguments)
        del status["held"]
        return status
    Echo.on_status = on_status


@variant
def has_no_result():
    async def on_result(self, arguments):
        raise ValueError("there is none")
    Echo.on_result = on_result


@variant
def miscounts_its_load():
    async def on_load(self, arguments, _right=Echo.on_load):
        answer = await _right(self, arguments)
        return answer | ({"messages": 9} if answer["messages"] == 10 else {})
    Echo.on_load = on_load


# A move.


def draining(change):
    async def on_drain(self, arguments, _right=Echo.on_drain):
        return change(await _right(self, arguments))
    Echo.on_drain = on_drain


@variant
def hands_no_state_over():
    draining(lambda answer: {name: answer[name] for name in answer if name != "state"})


@variant
def forgets_its_loads():
    draining(lambda answer: answer | {"unfinished_loads": []})


@variant
def goes_on_when_drained():
    async def take_turn(self, message, reason):
        async with self.turn:
            await self.apply(self.receiver.accept(message, 0.0))
    Echo.take_turn = take_turn


@variant
def ends_with_1():
    async def on_stop(self, arguments, _right=Echo.on_stop):
        answer = await _right(self, arguments)
        asyncio.get_running_loop().call_later(0.1, os._exit, 1)
        return answer
    Echo.on_stop = on_stop
    # Ends by the timer alone.
    Echo.is_closed = property(lambda self: False, lambda self, value: None)


@variant
def forgets_its_state():
    around(os.path, "exists", lambda right: lambda path: (
        right(path) and not str(path).endswith("state.json")))


# Signals, and what is left.


@variant
def ignores_sigterm():
    around(synmesh.asyncio.AbstractEventLoop, "add_signal_handler", lambda right: right)
    import asyncio.unix_events as events
    events._UnixSelectorEventLoop.add_signal_handler = lambda *arguments: None
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@variant
def ends_by_sigint():
    around(synmesh, "run", lambda right: None)

    def run(kind):
        environment = synmesh.Environment(os.environ)
        if environment.problems:
            sys.exit(synmesh.last_words(3, *environment.problems))
        asyncio.run(kind(environment).main())
    synmesh.run = run


@variant
def leaves_a_child():
    async def on_stop(self, arguments, _right=Echo.on_stop):
        subprocess.Popen(["sleep", "300"], start_new_session=True)
        return await _right(self, arguments)
    Echo.on_stop = on_stop


# Shared memory, and the history.


@variant
def answers_with_descriptors():
    def content_of(self, message):
        return synmesh.contextlib.nullcontext(message.content)
    Echo.content_of = content_of


@variant
def reads_what_is_stale():
    @synmesh.contextlib.contextmanager
    def read(self, reference):
        yield self.content(reference["slot"], reference["size"])
    Pool.read = read


@variant
def never_ends_a_reading():
    def lock(self, byte, kind, patience=0, _right=Pool.lock):
        is_end = kind == synmesh_pool.fcntl.F_UNLCK and byte % 2 == 0
        return True if is_end else _right(self, byte, kind, patience)
    import synmesh_pool
    Pool.lock = lock


@variant
def records_half():
    def record(self, envelope, direction, transport, _right=History.record):
        if envelope.sequence % 2 or direction == "delivered":
            _right(self, envelope, direction, transport)
    History.record = record


# The delivery class at_least_once.


@variant
def acknowledges_nothing():
    async def say(self):
        pass
    Acknowledgements.say = say


@variant
def takes_notices_for_holes():
    Receiver.missed = lambda self, notice: self.advance_over(notice)

    def advance_over(self, notice):
        self.note_gap(self.held[notice.flow], self.next[notice.flow], notice, time.monotonic())
        return self.advance(notice.flow)
    Receiver.advance_over = advance_over


@variant
def forgets_what_it_sent():
    async def tend(self):
        await asyncio.Event().wait()
    Outbox.tend = tend


if __name__ == "__main__":
    if sys.argv[1:] == ["--list"]:
        print("\n".join(VARIANTS))
    else:
        VARIANTS[sys.argv[1]]()
        synmesh.run(Echo)
