"""The baseline for memory: the same libraries, connections and readings, without any of our code.

    python bench/bare_loop.py PORT BROKER_PORT DATABASE

One SDS011 frame a second from a serial port into SQLite and on to the broker; no checks, no error handling.
"""

import asyncio
import os
import sqlite3
import struct
import sys
import time

import msgpack
import paho.mqtt.client as mqtt
import serial
import tenacity

FRAME_BYTES = 10


async def main(port: str, broker_port: int, database: str) -> None:
    store = sqlite3.connect(database, isolation_level=None)
    store.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE r (n INTEGER PRIMARY KEY, b)")
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "bare", protocol=mqtt.MQTTv5)
    tenacity.Retrying(stop=tenacity.stop_after_attempt(3))(client.connect, "127.0.0.1", broker_port)
    loop = asyncio.get_running_loop()
    loop.add_reader(client.socket(), client.loop_read)
    line = serial.Serial(port, 9600, timeout=0)
    pending = bytearray()
    ready = asyncio.Event()
    loop.add_reader(line.fileno(), ready.set)
    while True:
        await ready.wait()
        ready.clear()
        pending += os.read(line.fileno(), 4096)
        while len(pending) >= FRAME_BYTES:
            pm2_5, pm10 = struct.unpack_from("<HH", pending, 2)
            del pending[:FRAME_BYTES]
            row = {"t": time.time_ns() // 1_000_000, "pm2_5": pm2_5 / 10, "pm10": pm10 / 10}
            payload = msgpack.packb(row)
            store.execute("INSERT INTO r (b) VALUES (?)", (payload,))
            client.publish("bare/air-1", payload, 1)
        client.loop_misc()


asyncio.run(main(sys.argv[1], int(sys.argv[2]), sys.argv[3]))
