"""Who may write and read which topics of a city's broker, as docs/operators.md has it."""

from tests.support.agent_process import BASE, GATEWAY

NEIGHBOUR = "pos-2"
OTHER_BASE = f"makassar/v1/security/checkpoint/{NEIGHBOUR}"
MOVED_BASE = f"makassar/v1/health/clinic/{GATEWAY}"

CONTROL = "makassar/v1/control"

SUBSCRIBER, MAINTAINER = "subscriber.gis", "maintainer.ani"
ROLES = {"g": "gateway", "n": "neighbour", "s": "subscriber", "m": "maintainer"}
# topic, who may write, who may read: by the letters of ROLES.
TABLE = (
    (f"{BASE}/state", "g", "gsm"),
    (f"{BASE}/streams", "g", "gsm"),
    (f"{BASE}/meta", "g", "sm"),
    (f"{BASE}/meta/5e2190ab", "g", "sm"),
    (f"{BASE}/telemetry/dust-1", "g", "sm"),
    (f"{BASE}/telemetry/_agent", "g", "sm"),
    (f"{BASE}/event/dust-1", "g", "sm"),
    (f"{BASE}/event/_agent", "g", "sm"),
    (f"{BASE}/config/reported", "g", "sm"),
    (f"{BASE}/reply/b41d0c7e", "g", "sm"),
    (f"{BASE}/config/desired", "m", "gsm"),
    (f"{BASE}/config/trust", "m", "gsm"),
    (f"{BASE}/command/ping", "sm", "gsm"),
    (f"{BASE}/command/resend", "sm", "gsm"),
    *(
        (f"{BASE}/command/{name}", "m", "gsm")
        for name in ("read", "flush", "plan", "diagnostics", "restart", "output", "renew", "certificate")
    ),
    (CONTROL, "m", "gnsm"),
    # A certificate binds a gateway to its id, not to its field and site.
    (f"{MOVED_BASE}/state", "g", "gsm"),
    (f"{MOVED_BASE}/config/desired", "m", "gsm"),
    # Another gateway's.
    (f"{OTHER_BASE}/state", "n", "nsm"),
    (f"{OTHER_BASE}/telemetry/dust-1", "n", "sm"),
    (f"{OTHER_BASE}/config/reported", "n", "sm"),
    (f"{OTHER_BASE}/config/desired", "m", "nsm"),
    (f"{OTHER_BASE}/command/ping", "sm", "nsm"),
    (f"{OTHER_BASE}/command/output", "m", "nsm"),
    (f"makassar/v1/security/{GATEWAY}/{NEIGHBOUR}/state", "n", "nsm"),
    # Below the root, and named by nobody.
    *(
        (f"{BASE}{leaf}", "", "sm")
        for leaf in (
            "",
            "/other",
            "/state/more",
            "/meta/5e2190ab/more",
            "/streams/more",
            "/telemetry",
            "/telemetry/dust-1/more",
            "/event",
            "/event/dust-1/more",
            "/config",
            "/config/other",
            "/config/desired/more",
            "/command",
            "/command/ping/more",
            "/reply",
            "/reply/b41d0c7e/more",
        )
    ),
    ("makassar", "", "sm"),
    ("makassar/v1", "", "sm"),
    (f"{CONTROL}/more", "", "sm"),
    (f"makassar/v2/security/checkpoint/{GATEWAY}/state", "", "sm"),
    (f"makassar/v1/security/{GATEWAY}/state", "", "sm"),
    (f"makassar/v1/security/checkpoint/north/{GATEWAY}/state", "", "sm"),
    # An account is no gateway.
    (f"makassar/v1/security/checkpoint/{SUBSCRIBER}/telemetry/dust-1", "", "m"),
    (f"makassar/v1/security/checkpoint/{SUBSCRIBER}/command/ping", "m", "m"),
    (f"makassar/v1/security/checkpoint/{MAINTAINER}/telemetry/dust-1", "", "s"),
    (f"makassar/v1/security/checkpoint/{MAINTAINER}/command/ping", "s", "s"),
    # Beside the root.
    (f"gowa/v1/security/checkpoint/{GATEWAY}/state", "", ""),
    ("gowa/v1/control", "", ""),
    (f"v1/security/checkpoint/{GATEWAY}/state", "", ""),
    (GATEWAY, "", ""),
    ("$SYS/broker/version", "", "m"),
    ("$SYS/broker/connection/pos-1/state", "", ""),
)
