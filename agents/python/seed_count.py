"""A sender as a team may have it already: the seed's JSON wire over pyzmq, and nothing of ours.

    seed_count.py NAME TO RATE    sends "ping" after "ping", RATE a second, and counts "echo"es

Beside `seed_echo.py` it shows two such programs that talk to each other; the proxy numbers and
records what passes.
"""

import json
import os
import sys
import time

import zmq


def main() -> None:
    name, to_agent, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])
    socket = zmq.Context().socket(zmq.DEALER)
    socket.setsockopt_string(zmq.IDENTITY, name)
    socket.connect(os.environ["SYNMESH_BRANCH_ENDPOINT"])
    number = echoes = 0
    due = time.monotonic()
    while True:
        while (wait := due - time.monotonic()) > 0:
            if socket.poll(wait * 1000) and json.loads(socket.recv())["type"] == "echo":
                echoes += 1
                if echoes % 100 == 0:
                    print(f"{echoes} echoes", flush=True)
        message = {"from": name, "to": to_agent, "type": "ping", "content": {"n": number}}
        socket.send(json.dumps(message).encode())
        number += 1
        due += 1 / rate


if __name__ == "__main__":
    main()
