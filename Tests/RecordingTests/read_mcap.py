"""Prints what the `mcap` library reads from a file: one JSON object a message, by three readers.

Usage: read_mcap.py FILE
Every reader's messages come in the order of the file. Sealed files are also read by their index,
with every checksum validated.
"""

import base64
import json
import sys

try:
    from mcap.reader import NonSeekingReader, SeekingReader
    from mcap.records import Channel, Message
    from mcap.stream_reader import StreamReader
except ImportError:
    sys.exit("the Python module 'mcap' is missing: run `make deps`")


def line(channel, message):
    return {
        "topic": channel.topic,
        "encoding": channel.message_encoding,
        "metadata": channel.metadata,
        "sequence": message.sequence,
        "log_time": message.log_time,
        "publish_time": message.publish_time,
        "data": base64.b64encode(message.data).decode(),
    }


def stream(file):
    channels = {}
    for record in StreamReader(file, validate_crcs=True).records:
        if isinstance(record, Channel):
            channels[record.id] = record
        elif isinstance(record, Message):
            yield line(channels[record.channel_id], record)


def reader(kind, file):
    for _, channel, message in kind(file, validate_crcs=True).iter_messages(log_time_order=False):
        yield line(channel, message)


def main(path):
    with open(path, "rb") as file:
        one = list(stream(file))
    with open(path, "rb") as file:
        two = list(reader(NonSeekingReader, file))
    with open(path, "rb") as file:
        three = list(reader(SeekingReader, file))
    if not one == two == three:
        sys.exit(f"the readers differ: {len(one)}, {len(two)}, {len(three)} messages")
    with open(path, "rb") as file:
        summary = SeekingReader(file).get_summary()
        metadata = [record.metadata for record in SeekingReader(file).iter_metadata()]
    by_topic = {}
    if summary is not None:
        counts = summary.statistics.channel_message_counts
        for id, channel in summary.channels.items():
            by_topic[channel.topic] = by_topic.get(channel.topic, 0) + counts.get(id, 0)
        # The index alone must lead to every message of a topic.
        for topic, count in by_topic.items():
            with open(path, "rb") as file:
                found = sum(1 for _ in SeekingReader(file).iter_messages(topics=[topic]))
            if found != count:
                sys.exit(f"{found} of {count} messages of {topic} by the index")
    print(json.dumps({
        "messages": one,
        "metadata": metadata,
        "chunks": None if summary is None else len(summary.chunk_indexes),
        "count": None if summary is None else summary.statistics.message_count,
    }))


main(sys.argv[1])
