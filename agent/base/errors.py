"""Why something that came from outside was not taken."""

import re

from agent.base.codes import Rejection

LIBRARY_MISSING = Rejection.LIBRARY_MISSING
VERIFIER_FAILED = Rejection.VERIFIER_FAILED
NOT_KEPT = Rejection.NOT_KEPT
INTERNAL_ERROR = Rejection.INTERNAL_ERROR

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class RejectedError(Exception):
    """A message that is not taken: report it and go on as before.

    ``code`` and ``path`` are stable and for programs (``config/reported``), ``message`` is for people. Both may repeat
    what a stranger wrote: they are one line, whatever that was. ``version`` and ``hash`` say what was refused, once its
    signatures are verified.
    """

    version: int = 0
    hash: str = ""

    def __init__(self, code: str, message: str, path: str = "") -> None:
        self.code = code
        self.message = _CONTROL.sub("?", message)
        self.path = _CONTROL.sub("?", path[:200])
        super().__init__(f"{self.path}: {self.message}" if path else self.message)

    def about(self, version: int, payload_hash: str) -> "RejectedError":
        """The same, of this document."""
        self.version, self.hash = version, payload_hash
        return self

    @property
    def untimely(self) -> bool:
        """Whether another time on the gateway's clock may lead to another answer."""
        return self.code in (Rejection.EXPIRED, Rejection.ISSUED)

    @property
    def passing(self) -> bool:
        """Whether this gateway failed, and not the message: the same bytes may be looked at again."""
        return self.code in (LIBRARY_MISSING, VERIFIER_FAILED, NOT_KEPT)


class CallTimeout(Exception):
    """A call in a thread did not return in time. The thread is stuck and takes no more calls."""
