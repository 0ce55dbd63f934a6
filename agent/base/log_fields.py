"""What a line of the log is about, for programs: given as ``extra`` to the logging calls."""


def log_extra(code: str, sensor: str = "") -> dict[str, str]:
    """``code``: a stable word for what happened; ``sensor``: the id of the sensor that it happened to."""
    return {"code": code, "sensor": sensor} if sensor else {"code": code}
