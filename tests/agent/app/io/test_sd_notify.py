"""What systemd hears, at a real socket."""

import os
import socket
from pathlib import Path

import pytest

from agent.app.io.sd_notify import Notifier


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_hears_each_word_and_a_status_once(tmp_path: Path, abstract: bool) -> None:
    address = f"@gardu-test-{os.getpid()}" if abstract else str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(f"\0{address[1:]}" if abstract else address)
        systemd.settimeout(5)
        notifier = Notifier({"NOTIFY_SOCKET": address})
        notifier.ready()
        notifier.feed()
        for line in ("2 of 2", "2 of 2", "1 of 2"):
            notifier.status(line)
        notifier.stopping()
        heard = [systemd.recv(1000).decode() for _ in range(5)]
    assert heard == ["READY=1", "WATCHDOG=1", "STATUS=2 of 2", "STATUS=1 of 2", "STOPPING=1"]


def test_nothing_is_said_where_nobody_listens(tmp_path: Path) -> None:
    Notifier({}).ready()
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "30000000"}, 30.0),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 0.0),
        ({"NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "soon"}, 0.0),
        ({"NOTIFY_SOCKET": "/n"}, 0.0),
    ],
)
def test_the_watchdog_is_ours_if_systemd_says_so(environ: dict[str, str], watchdog_s: float) -> None:
    assert Notifier(environ).watchdog_s == watchdog_s
