"""An agent as a team may have it already: the seed's JSON wire over pyzmq, and nothing of ours.

    seed_echo.py NAME    answers every "ping" with an "echo" of the same content

It knows its name and the branch's ROUTER (SYNMESH_BRANCH_ENDPOINT); it has no control socket, no
identities and no history. The proxy numbers and records its messages as they pass.
"""

import json
import os
import sys

import zmq


def main() -> None:
    name = sys.argv[1]
    socket = zmq.Context().socket(zmq.DEALER)
    socket.setsockopt_string(zmq.IDENTITY, name)
    socket.connect(os.environ["SYNMESH_BRANCH_ENDPOINT"])
    while True:
        message = json.loads(socket.recv())
        if message["type"] == "ping":
            answer = {
                "from": name,
                "to": message["from"],
                "type": "echo",
                "content": message["content"],
            }
            socket.send(json.dumps(answer).encode())


if __name__ == "__main__":
    main()
