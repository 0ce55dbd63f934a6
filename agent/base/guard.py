"""The guard around all external input: an unexpected failure rejects the input and never ends the agent."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from agent.base.codes import log_extra
from agent.base.errors import INTERNAL_ERROR
from agent.base.i18n import _

_MAX_KINDS = 200

_log = logging.getLogger(__name__)
_logged: set[tuple[str, str, int]] = set()


@contextmanager
def guarded(what: str) -> Iterator[None]:
    """Handle one external input: an unexpected error in the body rejects only that input (:func:`unexpected`)."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the guard: whatever a stranger sent must not end the agent
        unexpected(what, error)


def unexpected(what: str, error: Exception) -> None:
    """Log an unexpected error raised while handling ``what``: one line per place in the code, with the traceback at
    debug level."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    file, line = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else ("", 0)
    kind = (type(error).__name__, file, line)
    if kind in _logged or len(_logged) >= _MAX_KINDS:
        return
    _logged.add(kind)
    text = _("internal error while handling {what}; rejected it; please report it ({error}, {file}:{line})").format(
        what=what, error=type(error).__name__, file=file, line=line
    )
    _log.error(text, extra=log_extra(INTERNAL_ERROR))
    _log.debug("%s", what, exc_info=error)
