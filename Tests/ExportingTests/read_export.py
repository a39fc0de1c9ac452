"""Prints what other people's software reads from an export: one JSON object a turn.

Usage: read_export.py cloudevents|csv|sqlite FILE
"""

import base64
import csv
import json
import sqlite3
import sys


def cloudevents(path):
    try:
        from cloudevents.v1.http import from_json
    except ImportError:
        try:
            from cloudevents.http import from_json
        except ImportError:
            sys.exit("the Python module 'cloudevents' is missing: run `make deps`")
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            event = from_json(line)
            attributes = dict(event.get_attributes())
            data = event.data
            if isinstance(data, bytes):
                data = {"base64": base64.b64encode(data).decode()}
            yield {"attributes": attributes, "data": data}


def rows_of_csv(path):
    csv.field_size_limit(1 << 30)
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file, strict=True):
            yield {name: value if value != "" else None for name, value in row.items()}


def rows_of_sqlite(path):
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.row_factory = sqlite3.Row
    for row in connection.execute("SELECT * FROM turns ORDER BY rowid"):
        yield dict(row)


readers = {"cloudevents": cloudevents, "csv": rows_of_csv, "sqlite": rows_of_sqlite}
for item in readers[sys.argv[1]](sys.argv[2]):
    print(json.dumps(item))
