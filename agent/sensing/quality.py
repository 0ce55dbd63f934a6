"""Prepares a driver's measurements for publication: right type, within range, rounded.

No I/O, and fast: it is called for every measurement.
"""

from collections.abc import Mapping

from drivers.sdk.contract import NOTHING_DOUBTED, REASONS, Field, Measurement, Value

MAX_EXACT_INT = 2**53
"""The largest integer that every subscriber reads exactly (a float's mantissa)."""

MAX_TEXT_CHARS = 256
_INFINITY = float("inf")


def assess(measurement: Measurement, fields: Mapping[str, Field]) -> Measurement:
    """Return the measurement with unknown fields dropped, values rounded to their resolution, and bad ones null.

    A value of the wrong type becomes ``bad:format``; NaN, an infinity and a value outside the field's ``min`` and
    ``max`` become ``bad:range``; a missing value is ``bad:device`` if the driver gave no reason.
    """
    doubts = measurement.q
    values: dict[str, Value] = {}
    q: dict[str, str] = {}
    for name, value in measurement.values.items():
        field = fields.get(name)
        if field is None:
            continue
        fault = ""
        if type(value) is float or type(value) is int:
            low, high = field.min, field.max
            if (low is not None and value < low) or (high is not None and value > high):
                fault = "bad:range"
            elif type(value) is float:
                if not -_INFINITY < value < _INFINITY:
                    fault = "bad:range"
                elif field.resolution is not None:
                    value = _rounded(value, field.resolution)
            elif not -MAX_EXACT_INT <= value <= MAX_EXACT_INT:
                fault = "bad:range"
            if field.kind == "text":
                fault = "bad:format"
        else:
            fault = _check_other(value, field)
        if doubts and name in doubts:
            q[name] = fault = _more_specific(doubts[name], fault)
            fault = fault if fault.startswith("bad:") else ""
        elif fault:
            q[name] = fault
        values[name] = None if fault else value
    for name, doubt in doubts.items() if doubts else ():
        if name in fields and name not in values and doubt.startswith("bad:"):
            values[name], q[name] = None, _more_specific(doubt, "")
    return Measurement(values, q or NOTHING_DOUBTED, measurement.event)


def _more_specific(doubt: str, fault: str) -> str:
    """Return the driver's doubt if it may be published, or the fault found here if that is more specific."""
    grade, _, reason = doubt.partition(":")
    if grade not in ("uncertain", "bad", "stale") or reason not in REASONS:
        return fault or "bad:device"
    if grade == "bad" or not fault:
        return doubt
    return f"bad:{reason}" if fault == "bad:device" else fault


def _check_other(value: object, field: Field) -> str:
    if value is None:
        return "bad:device"
    if isinstance(value, bool):
        return "" if field.kind == "state" else "bad:format"
    if isinstance(value, str) and field.kind in ("text", "state"):
        return "" if len(value) <= MAX_TEXT_CHARS and _is_unicode(value) else "bad:format"
    return "bad:format"


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


_STEPS: dict[float, tuple[int, bool]] = {}


def _rounded(value: float, step: float) -> float:
    """Return the nearest multiple of ``step``, without the tail of binary fractions."""
    digits, decimal = _STEPS.get(step) or _step_digits(step)
    if decimal:
        return round(value, digits)
    return round(round(value / step) * step, digits)


def _step_digits(step: float) -> tuple[int, bool]:
    """Return the decimal places of a step, and whether rounding to them is sufficient (0.1, 0.01, ...). Cached."""
    mantissa, _, exponent = f"{step:e}".partition("e")
    mantissa = mantissa.rstrip("0")
    digits = max(0, len(mantissa.partition(".")[2]) - int(exponent))
    _STEPS[step] = digits, mantissa == "1." and digits > 0
    return _STEPS[step]
