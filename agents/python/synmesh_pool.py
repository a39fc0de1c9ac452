"""Shared-memory pools."""


class Pools(dict):
    def __init__(self, pools):
        super().__init__({pool["name"]: pool for pool in pools})
