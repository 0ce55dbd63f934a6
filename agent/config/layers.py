"""Which part of a configuration may come from outside, and how its layers are merged. Pure.

A configuration in effect has three layers: ``gardu.toml`` (version 0), the accepted configuration, which replaces the
whole remote part of it, and the technician's ``local.toml``, which overrides both.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from agent.base.codes import Rejection
from agent.base.errors import RejectedError
from agent.base.i18n import _
from drivers.sdk.tables.reader import labels

Tables = Mapping[str, object]

LOCAL_TABLES = ("gateway", "store", "web", "privacy", "commands")
"""Tables that only the gateway's own files can set."""
LOCAL_BROKER_KEYS = ("password_file", "allow_plain_password", "ca_file", "cert_file", "key_file")
_SECRETS = ("password", "secret", "token", "path", "file")
_SECRET_ENDINGS = ("_file", "_path", "_dir", "_password", "_secret", "_token")


@dataclass(frozen=True, slots=True)
class Merged:
    """The tables to parse, and the paths at which ``local.toml`` changed them."""

    tables: Tables
    drift: tuple[str, ...]


def local_keys(config: Tables) -> Iterator[str]:
    """Yield the paths that a configuration from outside must not have: local tables, secrets, and paths of files.

    The place of a device (``port``, ``chip``, ``w1``) is not a secret: sensors come from outside.
    """
    for name, value in config.items():
        if name in LOCAL_TABLES:
            yield name
        elif isinstance(value, dict):
            yield from (f"{name}.{key}" for key in value if is_local_key(key))
        elif isinstance(value, list):
            entries = [entry for entry in value if isinstance(entry, dict)]
            for label, entry in zip(labels(name, [entry.get("id") for entry in entries]), entries, strict=True):
                yield from (f"{label}.{key}" for key in entry if is_local_key(key))


def check_remote(config: Tables) -> None:
    """Raise :class:`RejectedError`: ``local_key``."""
    for path in local_keys(config):
        raise RejectedError(Rejection.LOCAL_KEY, _("only the gateway's own files can set this"), path)


def without_local(config: Tables) -> dict[str, object]:
    """Return the remote part of a whole configuration."""
    return {name: _remote_part(value) for name, value in config.items() if name not in LOCAL_TABLES}


def merged(file: Tables, remote: Tables | None, overlay: Tables) -> Merged:
    """Merge the three layers. ``remote``: ``None`` if no configuration was accepted yet."""
    tables = dict(file)
    if remote is not None:
        tables = {name: table for name, table in file.items() if name in LOCAL_TABLES} | dict(remote)
        tables["broker"] = _with_local_keys(tables.get("broker"), file.get("broker"))
        if tables["broker"] is None:
            del tables["broker"]
    drift: list[str] = []
    return Merged(_overridden(tables, overlay, "", drift), tuple(drift))


def is_local_key(key: str) -> bool:
    """Return whether a key is a secret or the path of a file."""
    return key in _SECRETS or key.endswith(_SECRET_ENDINGS)


def _remote_part(value: object) -> object:
    if isinstance(value, dict):
        return {key: item for key, item in value.items() if not is_local_key(key)}
    if isinstance(value, list):
        return [_remote_part(entry) for entry in value]
    return value


def _with_local_keys(remote: object, file: object) -> object:
    """Return ``[broker]`` from outside, with the secrets and paths of the gateway's own file."""
    if not isinstance(file, dict) or not isinstance(remote, dict):
        return remote
    return remote | {key: file[key] for key in LOCAL_BROKER_KEYS if key in file}


def _overridden(below: Tables, above: Tables, path: str, drift: list[str]) -> dict[str, object]:
    result = dict(below)
    for key, value in above.items():
        where = f"{path}.{key[:64]}" if path else key[:64]
        old = below.get(key)
        if isinstance(value, dict) and (old is None or isinstance(old, dict)):
            result[key] = _overridden(old or {}, value, where, drift)
        elif _has_ids(value) and (old is None or _has_ids(old)):
            result[key] = _merged_entries(old or [], value, where, drift)  # type: ignore[arg-type]
        elif key not in below or old != value or type(old) is not type(value):
            result[key] = value
            drift.append(where)
    return result


def _has_ids(value: object) -> bool:
    """Return whether this is an array of tables with ids, such as the sensors."""
    return isinstance(value, list) and all(
        isinstance(entry, dict) and isinstance(entry.get("id"), str) for entry in value
    )


def _merged_entries(
    below: list[dict[str, object]], above: list[dict[str, object]], path: str, drift: list[str]
) -> list[dict[str, object]]:
    """Merge entries with the same id; add the others at the end."""
    result = list(below)
    places = {entry["id"]: at for at, entry in reversed(list(enumerate(below)))}
    for entry in above:
        where = f"{path}.{str(entry['id'])[:64]}"
        if entry["id"] in places:
            at = places[entry["id"]]
            result[at] = _overridden(result[at], entry, where, drift)
        else:
            result.append(entry)
            drift.append(where)
    return result
