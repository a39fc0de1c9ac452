"""A branch proxy as a team may have it already: a ROUTER that routes JSON messages on "to".

    branch_proxy.py ENDPOINT [--rewrite] [--drop N] [--alter N] [--handover] [--report SECONDS]

It receives [identity, one JSON frame], passes the frame on to the peer that is named in "to", and
keeps statistics of its routes. It knows nothing of synmesh: no hello, no credit, no markers, no
queues of its own. Whom nobody of that name is connected for, libzmq drops without a word.

--rewrite    write the JSON again instead of passing on the bytes, as many such proxies do
--drop N     lose one message in N: a defect, for controls
--alter N    change the content of one message in N: a defect, for controls
--handover   a second peer of a name takes it over (ROUTER_HANDOVER)
"""

import argparse
import json
import logging
import os
import signal
import sys
import time
from collections import defaultdict

import zmq


class BranchProxy:
    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.logger = logging.getLogger("BranchProxy")
        self.routing_stats = defaultdict(lambda: {"count": 0, "bytes": 0})
        self.seen = 0
        self.agent_router = zmq.Context.instance().socket(zmq.ROUTER)
        if options.handover:
            self.agent_router.setsockopt(zmq.ROUTER_HANDOVER, 1)
        self.agent_router.bind(options.endpoint)

    def run(self) -> None:
        self.logger.info("bound to %s", self.options.endpoint)
        poller = zmq.Poller()
        poller.register(self.agent_router, zmq.POLLIN)
        next_report = time.monotonic() + self.options.report
        while True:
            if poller.poll(max(0, next_report - time.monotonic()) * 1000):
                self.handle_agent_message()
            if time.monotonic() >= next_report:
                self.log_routing_report()
                next_report = time.monotonic() + self.options.report

    def handle_agent_message(self) -> None:
        frames = self.agent_router.recv_multipart()
        sender, payload = frames[0], frames[-1]
        try:
            message = json.loads(payload)
            destination = message["to"]
        except (ValueError, KeyError, TypeError):
            self.logger.warning("no message from %r", sender)
            return
        route = f"{sender.decode(errors='replace')} -> {destination}"
        self.routing_stats[route]["count"] += 1
        self.routing_stats[route]["bytes"] += len(payload)
        self.seen += 1
        if self.options.drop and self.seen % self.options.drop == 0:
            return
        if self.options.alter and self.seen % self.options.alter == 0:
            message["content"] = {"altered": message.get("content")}
            payload = json.dumps(message).encode()
        elif self.options.rewrite:
            payload = json.dumps(message).encode()
        self.agent_router.send_multipart([destination.encode(), payload])

    def log_routing_report(self) -> None:
        total = sum(route["count"] for route in self.routing_stats.values())
        size = sum(route["bytes"] for route in self.routing_stats.values())
        self.logger.info("routing report: %d messages, %d bytes", total, size)
        rows = sorted(self.routing_stats.items(), key=lambda row: row[1]["count"], reverse=True)
        for route, stats in rows:
            share = stats["count"] / total * 100
            self.logger.info(
                "%-40s %7d msgs (%5.1f%%) %10d bytes", route, stats["count"], share, stats["bytes"]
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoint", nargs="?", default=os.environ.get("SYNMESH_ENDPOINT"))
    parser.add_argument("--rewrite", action="store_true")
    parser.add_argument("--drop", type=int, default=0)
    parser.add_argument("--alter", type=int, default=0)
    parser.add_argument("--handover", action="store_true")
    parser.add_argument("--report", type=float, default=5)
    options = parser.parse_args()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(name)s: %(message)s")
    proxy = BranchProxy(options)

    def stop(*_: object) -> None:
        proxy.log_routing_report()
        sys.stdout.flush()
        os._exit(0)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    proxy.run()


if __name__ == "__main__":
    main()
