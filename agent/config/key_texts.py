"""What each key of a configuration means: for docs/configuration.md and the JSON Schema. The agent does not load this.

Whether a key has an effect, its type, its bounds and its default are not repeated here.
"""

from collections.abc import Mapping

from agent.config.settings import (
    Alarm,
    Broker,
    Bus,
    Calibrate,
    ClockSettings,
    Commands,
    Gateway,
    PrivacySettings,
    Publish,
    Sensor,
    StoreSettings,
    Web,
)

KEY_TEXTS: Mapping[type, Mapping[str, str]] = {
    Gateway: {
        "id": "name of the gateway: MQTT client id, and common name of its certificate",
        "site": "name of the place; a level of its topics",
        "sector": "what the site is for; a level of its topics",
        "root": "the first levels of its topics",
        "name": "the site in words",
        "lat": "degrees north",
        "lon": "degrees east",
        "timezone": "time zone of the site",
    },
    Broker: {
        "url": "the broker, or several that are tried in order. Without a port, 1883 is used, and 8883 with `mqtts`",
        "username": "for the login",
        "password_file": "file that contains nothing but the password",
        "allow_plain_password": "whether the password may be sent without TLS to a broker on another computer; local",
        "ca_file": "certificates that the broker's certificate must come from; if absent, those of the system",
        "ca_pem": "the same as text, which may also come from outside; both count if both are given",
        "cert_file": "the gateway's own certificate",
        "key_file": "the private key of this certificate",
        "keepalive_s": "a dead connection is noticed within one and a half times this",
        "protocol": "MQTT version; `auto` tries 5, then 3.1.1",
    },
    Publish: {
        "encoding": "how a batch is encoded",
        "compress": "whether batches are compressed, for links that are paid by volume",
        "max_delay_s": "a batch leaves at most this long (or `commit_s`, if that is longer) after its first reading",
        "max_rows": "rows in a batch",
        "backlog_rows_per_s": "how fast older readings may follow after an outage",
        "budget_bytes_per_day": "bytes that may be sent in a day; 0: no limit",
    },
    StoreSettings: {
        "path": "file of the store; a relative path is in the state directory",
        "max_bytes": "size of the file; when it is reached, delivered readings are deleted first",
        "max_age_days": "how long delivered readings are kept",
        "commit_s": "how many seconds of readings a power cut may lose; 0: a reading is on disk before it is published",
    },
    ClockSettings: {
        "grace_s": "how long readings wait for a clock that was never set; events do not wait",
        "source": "`system`, or the id of a sensor with a GNSS receiver, whose time counts (`cq` 3) while it has a fix",
    },
    Web: {
        "listen": "`127.0.0.1:8080`, or the path of a socket; empty: no page",
        "token_file": "file with the token that a visitor needs",
    },
    PrivacySettings: {
        "key_file": "file with the key of the site",
        "identifiers": "how card numbers and the like leave the gateway: as a keyed hash, not at all, or as they are",
    },
    Commands: {
        "allow": "commands that are obeyed: `restart`, `output`, `flush`",
        "signed": "whether these commands must be signed",
    },
    Bus: {
        "id": "name of the bus",
        "port": "the serial port",
        "baud": "line rate",
        "parity": "none, even or odd",
        "stop_bits": "stop bits",
    },
    Calibrate: {
        "scale": "the value is multiplied by this",
        "offset": "then this is added",
    },
    Sensor: {
        "id": "name of the sensor; the last level of its topic",
        "driver": "a driver or a profile: `gardu drivers` lists them",
        "port": "the serial port; by path, so that two equal adapters are never confused",
        "bus": "the `[[bus]]` that it is connected to, instead of a port",
        "unit": "its address on a Modbus",
        "i2c_bus": "number of the I2C bus",
        "address": "its address on the I2C bus",
        "w1": "its 1-Wire id",
        "chip": "GPIO chip, by name or label",
        "line": "GPIO line, by name or offset",
        "active_low": "whether the contact is closed at low level",
        "debounce_ms": "shorter changes are ignored; if absent, the driver's",
        "baud": "line rate; if absent, the driver's",
        "parity": "none, even or odd; if absent, the driver's",
        "stop_bits": "stop bits; if absent, the driver's",
        "interval_s": "a polled sensor is asked this often (at least 0.05; if absent, as often as its driver says); a "
        "streaming sensor is thinned to it (0 or absent: every frame is kept)",
        "aggregate": "what is kept of an interval",
        "deadband": "with `on_change`: field = change that counts",
        "heartbeat_s": "with `on_change`: how often a value is sent although it did not change; 0: never",
        "calibrate": "field = `{ scale = 1.0, offset = 0.0 }`: the value becomes value x scale + offset",
        "label": "what people call it",
        "max_rows_per_s": "how many readings are stored in the long run (at once: those of ten minutes); more are "
        "dropped and counted",
        "required": "whether a new configuration is rolled back if this sensor does not work",
        "personal": "whether its readings concern a person",
    },
    Alarm: {
        "id": "name of the alarm",
        "sensor": "id of the sensor",
        "field": "the field to watch",
        "above": "alarm above this value",
        "below": "alarm below this value",
        "equal": "alarm at this value",
        "stale_s": "alarm when there was no reading for this long",
        "for_s": "the condition must last this long first",
        "clear": "the alarm ends when the value is back at this one",
        "mode": "whether `for_s` counts without interruption, or is summed up",
        "severity": "how serious it is",
        "output": "a `gpio_out` sensor that follows the alarm",
    },
}
