"""The mesh as it was before: Python, JSON, a ROUTER. What ours is measured against, for information.

    seed.py branch-proxy                     serves until its input ends; says where in one line
    seed.py latency ENDPOINT COUNT           one way between two agents, one at a time
    seed.py cloud ENDPOINT BYTES RUNS        a point cloud as hexadecimal text in JSON
    seed.py reconnect RUNS                   from a proxy's bind to the first message through it

Each of the others prints one line of JSON with the names that the C reference prints.
The clients and the proxy were published in parts only; what is missing (`AgentBaseClient`, the loop
of the proxy) is written as its calls suggest, with the defaults of pyzmq.
"""

import json
import logging
import statistics
import sys
import threading
import time
from collections import defaultdict

import zmq


class BranchProxy:
    """A ROUTER that routes JSON on "to", with the statistics of its routes."""

    def __init__(self, endpoint: str = "tcp://127.0.0.1:*") -> None:
        self.logger = logging.getLogger("BranchProxy")
        self.routing_stats = defaultdict(lambda: {"count": 0, "bytes": 0})
        self.agent_router = zmq.Context.instance().socket(zmq.ROUTER)
        self.agent_router.setsockopt(zmq.LINGER, 0)
        self.agent_router.bind(endpoint)
        self.endpoint = self.agent_router.getsockopt_string(zmq.LAST_ENDPOINT)
        self.is_stopped = False

    def run(self) -> None:
        poller = zmq.Poller()
        poller.register(self.agent_router, zmq.POLLIN)
        while not self.is_stopped:
            self._handle_agent_messages(dict(poller.poll(50)))
        self.agent_router.close()

    def _handle_agent_messages(self, events: dict) -> None:
        if self.agent_router in events:
            sender_identity, payload_str = self.agent_router.recv_multipart()
            msg_data = json.loads(payload_str)
            destination = msg_data.get("to", "unknown")
            route_key = f"{sender_identity.decode()} -> {destination}"
            self.routing_stats[route_key]["count"] += 1
            self.routing_stats[route_key]["bytes"] += len(payload_str)
            self.agent_router.send_multipart([destination.encode(), payload_str])


class AgentBaseClient:
    """A DEALER that sends and receives JSON."""

    def __init__(self, agent_name: str, endpoint: str) -> None:
        self.agent_name = agent_name
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.setsockopt_string(zmq.IDENTITY, agent_name)
        self.socket.connect(endpoint)

    def send_message(self, to_agent: str, message_type: str, content: dict) -> None:
        message = {
            "from": self.agent_name, "to": to_agent, "type": message_type,
            "timestamp": time.time(), "content": content,
        }
        self.socket.send_string(json.dumps(message))

    def receive_message(self, timeout_ms: int = 1000) -> dict | None:
        if not self.socket.poll(timeout_ms):
            return None
        return json.loads(self.socket.recv())

    def attach(self) -> None:
        """From the first message on, the proxy knows the name."""
        for _ in range(100):
            self.send_message(self.agent_name, "hello", {})
            if self.receive_message(100):
                break
        else:
            sys.exit("the proxy does not answer")
        while self.receive_message(20):
            pass


def pair(endpoint: str) -> tuple[AgentBaseClient, AgentBaseClient]:
    clients = AgentBaseClient("s0", endpoint), AgentBaseClient("r0", endpoint)
    for client in clients:
        client.attach()
    return clients


def branch_proxy() -> None:
    proxy = BranchProxy()
    print(json.dumps({"endpoint": proxy.endpoint}), flush=True)
    threading.Thread(target=proxy.run, daemon=True).start()
    sys.stdin.read()


def latency(endpoint: str, count: int) -> None:
    sender, receiver = pair(endpoint)
    times = []
    text = "x" * 200
    for number in range(count):
        start = time.perf_counter()
        sender.send_message("r0", "ping", {"seq": number, "text": text})
        if receiver.receive_message() is not None:
            times.append((time.perf_counter() - start) * 1e6)
    times.sort()
    print(json.dumps({
        "received": len(times), "lost": count - len(times),
        "p50_us": times[len(times) // 2], "p99_us": times[int(len(times) * 0.99)],
    }))


def cloud(endpoint: str, size: int, runs: int) -> None:
    sender, receiver = pair(endpoint)
    data = bytes(range(250)) * (size // 250 + 1)
    data = data[:size]
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        sender.send_message("r0", "pointcloud_direct", {"data": data.hex(), "size": size})
        message = receiver.receive_message(60_000)
        if message is None or len(bytes.fromhex(message["content"]["data"])) != size:
            sys.exit("the cloud did not arrive")
        times.append((time.perf_counter() - start) * 1e6)
    print(json.dumps({"cloud_us": times}))


def reconnect(runs: int) -> None:
    def serve(endpoint: str) -> tuple[BranchProxy, threading.Thread]:
        proxy = BranchProxy(endpoint)
        thread = threading.Thread(target=proxy.run)
        thread.start()
        return proxy, thread

    proxy, thread = serve("tcp://127.0.0.1:*")
    endpoint = proxy.endpoint
    client = AgentBaseClient("r0", endpoint)
    client.attach()
    times = []
    for _ in range(runs):
        proxy.is_stopped = True
        thread.join()
        time.sleep(0.2)
        for _ in range(100):
            try:
                proxy, thread = serve(endpoint)
                break
            except zmq.ZMQError:
                # The port is let go of by a thread of libzmq.
                time.sleep(0.01)
        start = time.perf_counter()
        while True:
            client.send_message("r0", "ping", {})
            if client.receive_message(2) is not None:
                break
            if time.perf_counter() - start > 10:
                sys.exit("the client did not reconnect")
        times.append((time.perf_counter() - start) * 1e3)
        while client.receive_message(20):
            pass
    proxy.is_stopped = True
    thread.join()
    print(json.dumps({
        "reconnect_ms": times, "median_ms": statistics.median(times), "max_ms": max(times),
    }))


def main() -> None:
    role, *words = sys.argv[1:] or [""]
    if role == "branch-proxy":
        branch_proxy()
    elif role == "latency":
        latency(words[0], int(words[1]))
    elif role == "cloud":
        cloud(words[0], int(words[1]), int(words[2]))
    elif role == "reconnect":
        reconnect(int(words[0]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
