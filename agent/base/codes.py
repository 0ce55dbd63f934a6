"""Stable codes for programs: why a message was rejected, and what a log line is about.

docs/maintainers.md and docs/operators.md explain each code; a test compares them with these enums.
"""

from enum import StrEnum, auto


class Rejection(StrEnum):
    """Why external input was rejected: ``cause.code`` of ``config/reported``, ``code`` of events."""

    APPLY = auto()
    ATTEMPTS = auto()
    BROKER = auto()
    CERTIFICATE_KEY = auto()
    CERTIFICATE_NAME = auto()
    CERTIFICATE_TIME = auto()
    DEGRADED = auto()
    DEVICE_IMPOSSIBLE = auto()
    DRIVER_UNKNOWN = auto()
    DUPLICATE_KEYS = auto()
    EQUIVOCATION = auto()
    EXPIRED = auto()
    FAILED = auto()
    INTERNAL_ERROR = auto()
    ISSUED = auto()
    JUMP = auto()
    KNOWN_BAD = auto()
    LIBRARY_MISSING = auto()
    LOCAL_KEY = auto()
    MALFORMED = auto()
    MIN_AGENT = auto()
    NOT_SAVED = auto()
    NOT_ACCEPTED = auto()
    NO_CERTIFICATE = auto()
    NO_REQUEST = auto()
    NO_TRUST = auto()
    ROLLBACK = auto()
    ROOT_JUMP = auto()
    SAME_KEY = auto()
    SCHEMA = auto()
    SENSOR = auto()
    TARGET = auto()
    THRESHOLD = auto()
    TOO_LARGE = auto()
    TORN = auto()
    TYPE = auto()
    UNSIGNED = auto()
    VERIFIER_FAILED = auto()
    WRONG_KEY = auto()


class LogCode(StrEnum):
    """What a log line is about (``GARDU_CODE`` in the journal). Every warning and every error has a code."""

    CERTIFICATE_DROPPED = auto()
    CERTIFICATE_EXPIRES = auto()
    CERTIFICATE_UNREADABLE = auto()
    CLIENT_ID_CONFLICT = auto()
    CLOCK_SET = auto()
    COMMAND_DROPPED = auto()
    COMMAND_FLOOD = auto()
    CONNECTED = auto()
    CRASH_LOOP = auto()
    DEGRADED = auto()
    DRIVER_HANGS = auto()
    FINAL_MESSAGES_LOST = auto()
    INVALID_TOPIC = auto()
    KNOWN_BAD = auto()
    MESSAGE_TOO_LARGE = auto()
    NEW_EPOCH = auto()
    NOT_CONNECTED = auto()
    NO_CONFIGURATION = auto()
    PUBLISH_ACCEPTED = auto()
    PUBLISH_REFUSED = auto()
    RESCUE_FAILED = auto()
    ROWS_LEFT = auto()
    ROW_GIVEN_UP = auto()
    SAFE_MODE = auto()
    SAFE_MODE_LEFT = auto()
    SENSOR_FLOOD = auto()
    SENSOR_RECOVERED = auto()
    STALLED = auto()
    START_FAILED = auto()
    STATE_DIR_FAILED = auto()
    STORE_BACK = auto()
    STORE_FULL = auto()
    STORE_RESCUED = auto()
    STORE_WRITE_FAILED = auto()
    TRUST_LOST = auto()
    UPDATE_STATE_LOST = auto()


def log_extra(code: str, sensor: str = "") -> dict[str, str]:
    """Return the ``extra`` of a log call. ``code``: a stable code for what happened; ``sensor``: the id of the affected
    sensor."""
    return {"code": code, "sensor": sensor} if sensor else {"code": code}
