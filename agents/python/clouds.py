"""An agent that reads point clouds, wherever they lie, and says how many points and which box they have.

Settings: `to`, whom it tells (type `cloud_box`). A cloud in shared memory is read where it lies.
"""

import struct

from synmesh import Agent, PoolError, run

HEADER = 128


class Clouds(Agent):
    def __init__(self, environment):
        super().__init__(environment)
        self.clouds, self.unread = [], 0

    async def handle(self, message):
        if message.type not in ("pointcloud_direct", "pointcloud_shm"):
            return
        try:
            with self.content_of(message) as content:
                box = {"source": message.source} | box_of(content)
        except (PoolError, ValueError):
            self.unread += 1
            return
        self.clouds.append(box)
        for destination in self.destinations:
            await self.send(destination, "cloud_box", box, cause=message)

    def result(self):
        return {"clouds": self.clouds, "unread": self.unread}

    def state(self):
        return self.result()

    def restore(self, state):
        self.clouds, self.unread = state["clouds"], state["unread"]


def box_of(content):
    """Count and bounding box of a cloud's bytes (agents/README.md, The content of a cloud)."""
    magic, version, width, each, count = struct.unpack_from("<4sBBBxQ", content)
    if magic != b"SMPC" or version != 2 or len(content) != HEADER + each * width * count:
        raise ValueError("no point cloud")
    numbers = content[HEADER:].cast({4: "f", 8: "d"}[width])
    axes = [numbers[axis::each].tolist() for axis in range(3)]
    return {"points": count, "minimum": [min(axis, default=0.0) for axis in axes],
            "maximum": [max(axis, default=0.0) for axis in axes]}


if __name__ == "__main__":
    run(Clouds)
