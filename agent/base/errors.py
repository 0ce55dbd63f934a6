"""Why external input was rejected."""

import re

from agent.base.codes import Rejection

LIBRARY_MISSING = Rejection.LIBRARY_MISSING
VERIFIER_FAILED = Rejection.VERIFIER_FAILED
NOT_SAVED = Rejection.NOT_SAVED
INTERNAL_ERROR = Rejection.INTERNAL_ERROR

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RejectedError(Exception):
    """A message was rejected: report it and keep running as before.

    ``code`` and ``path`` are stable and meant for programs (``config/reported``); ``message`` is meant for people.
    ``message`` and ``path`` may quote untrusted text and are always a single line. ``version`` and ``hash`` identify
    the rejected document once its signatures are verified.
    """

    version: int = 0
    hash: str = ""

    def __init__(self, code: str, message: str, path: str = "") -> None:
        self.code = code
        self.message = _CONTROL.sub("?", message)
        self.path = _CONTROL.sub("?", path[:200])
        super().__init__(f"{self.path}: {self.message}" if path else self.message)

    def for_document(self, version: int, payload_hash: str) -> "RejectedError":
        """Set the document that this rejection refers to; return the error itself."""
        self.version, self.hash = version, payload_hash
        return self

    @property
    def depends_on_clock(self) -> bool:
        """True if a different time on the gateway's clock may change the decision."""
        return self.code in (Rejection.EXPIRED, Rejection.ISSUED)

    @property
    def transient(self) -> bool:
        """True if this gateway failed rather than the message: the same bytes may be checked again."""
        return self.code in (LIBRARY_MISSING, VERIFIER_FAILED, NOT_SAVED)


class CallTimeout(Exception):
    """A call in a thread did not return in time. The thread is stuck and accepts no more calls."""
