"""Writes a history again, by the `mcap` library, with other contents, or with a delivery more.

    alter_history.py FILE COPY TYPE CONTENT
    alter_history.py FILE COPY --repeat

Every message of the type that was delivered has the content in the copy; or the hundredth that was delivered stands
in it twice.
"""

import sys

from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

path, copy, kind, content = (sys.argv[1:] + [""])[:4]
is_repeating, delivered = kind == "--repeat", 0
with open(path, "rb") as source, open(copy, "wb") as target:
    reader = make_reader(source)
    writer = Writer(target, chunk_size=4_096, compression=CompressionType.NONE)
    writer.start(profile=reader.get_header().profile, library="another")
    for metadata in reader.iter_metadata():
        writer.add_metadata(metadata.name, metadata.metadata)
    channels = {}
    for _, channel, message in reader.iter_messages(log_time_order=False):
        if channel.id not in channels:
            channels[channel.id] = writer.register_channel(
                channel.topic, channel.message_encoding, 0, channel.metadata)
        is_delivered = channel.metadata.get("direction") == "delivered"
        delivered += is_delivered
        is_meant = is_delivered and channel.metadata.get("type") == kind
        for _ in range(2 if is_repeating and is_delivered and delivered == 100 else 1):
            writer.add_message(
                channels[channel.id], message.log_time,
                content.encode() if is_meant else message.data,
                message.publish_time, message.sequence)
    writer.finish()
