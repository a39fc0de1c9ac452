"""What the Python library plyfile says of PLY files.

read FILE...   reports the files
write FOLDER   writes files of many kinds into the folder, and reports them
real           reports the files that Debian's assimp-testmodels and PyPI's pyvista bring along

The report is JSON: {path: {"points", "minimum", "maximum"}}, or {path: {"error"}} for what plyfile
cannot read.
"""

import glob
import importlib.util
import json
import os
import sys

try:
    import numpy
    from plyfile import PlyData, PlyElement
except ImportError as error:
    sys.exit(f"{error}: run 'make deps'")


def report(paths):
    result = {}
    for path in paths:
        try:
            vertex = PlyData.read(path)["vertex"]
            columns = [vertex[axis] for axis in "xyz"]
            result[path] = {
                "points": vertex.count,
                "minimum": [float(column.min()) for column in columns if vertex.count],
                "maximum": [float(column.max()) for column in columns if vertex.count],
            }
        except Exception as error:
            result[path] = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result))


def real_files():
    # Only looked for: to import pyvista takes all of VTK.
    pyvista = importlib.util.find_spec("pyvista")
    places = pyvista.submodule_search_locations if pyvista else []
    folders = ["/usr/share/assimp/models"] + [os.path.join(place, "examples") for place in places]
    files = [
        sorted(glob.glob(os.path.join(folder, "**", "*.ply"), recursive=True)) for folder in folders
    ]
    if len(files) < 2 or not all(files):
        sys.exit("assimp-testmodels or pyvista is missing: run 'make deps'")
    return sum(files, [])


def vertices(types, count=57):
    random = numpy.random.default_rng(11)
    table = numpy.zeros(count, dtype=types)
    for name, _ in types:
        values = random.uniform(-100, 100, count)
        if table.dtype[name].kind == "u":
            values = abs(values)
        table[name] = values
    return PlyElement.describe(table, "vertex")


def faces(count=23):
    table = numpy.empty(count, dtype=[("vertex_indices", "i4", (3,)), ("quality", "f8")])
    table["vertex_indices"] = numpy.arange(count * 3).reshape(count, 3) % 57
    table["quality"] = 0.5
    return PlyElement.describe(table, "face")


def write(folder):
    single = [("x", "f4"), ("y", "f4"), ("z", "f4")]
    kinds = {
        "float": [vertices(single)],
        "double": [vertices([("x", "f8"), ("y", "f8"), ("z", "f8")])],
        "int": [vertices([("x", "i4"), ("y", "i2"), ("z", "i1")])],
        "uint": [vertices([("x", "u4"), ("y", "u2"), ("z", "u1")])],
        "colour-and-normal": [
            vertices(
                [("nx", "f4"), ("x", "f4"), ("red", "u1"), ("y", "f4"), ("a", "f8"), ("z", "f4")]
            )
        ],
        "faces-after": [vertices(single), faces()],
        "faces-before": [faces(), vertices(single)],
    }
    paths = []
    for name, elements in kinds.items():
        for kind, order in (("ascii", "="), ("binary", "<"), ("big-endian", ">")):
            path = os.path.join(folder, f"{name}-{kind}.ply")
            PlyData(elements, text=kind == "ascii", byte_order=order).write(path)
            paths.append(path)
    report(paths)


if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2])
    elif sys.argv[1] == "real":
        report(real_files())
    else:
        report(sys.argv[2:])
