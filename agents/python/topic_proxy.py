"""A topic proxy as a team may have it already: an XSUB and an XPUB, and zmq.proxy between them.

    topic_proxy.py PUBLISH SUBSCRIBE [--drop N]

Publishers connect to PUBLISH, subscribers to SUBSCRIBE. It knows nothing of synmesh: it confirms
no subscription, keeps nothing for anybody, and libzmq drops without a word what a subscriber has
no room for.

--drop N    lose one message in N: a defect, for controls
"""

import argparse
import os
import signal

import zmq


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("publish", nargs="?", default=os.environ.get("SYNMESH_PUBLISH"))
    parser.add_argument("subscribe", nargs="?", default=os.environ.get("SYNMESH_SUBSCRIBE"))
    parser.add_argument("--drop", type=int, default=0)
    options = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    context = zmq.Context.instance()
    xsub = context.socket(zmq.XSUB)
    xsub.bind(options.publish)
    xpub = context.socket(zmq.XPUB)
    xpub.bind(options.subscribe)
    print(f"publishers at {options.publish}, subscribers at {options.subscribe}", flush=True)
    if not options.drop:
        # The default action of SIGTERM: zmq.proxy does not come back to Python for a handler.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        zmq.proxy(xsub, xpub)
        return
    poller = zmq.Poller()
    poller.register(xsub, zmq.POLLIN)
    poller.register(xpub, zmq.POLLIN)
    seen = 0
    while True:
        ready = dict(poller.poll())
        if xpub in ready:
            xsub.send(xpub.recv())
        if xsub in ready:
            message = xsub.recv_multipart()
            seen += 1
            if seen % options.drop != 0:
                xpub.send_multipart(message)


if __name__ == "__main__":
    main()
