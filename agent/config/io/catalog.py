"""Finds drivers by name, and loads only those that are needed.

The order of the search: the gateway's own profiles, the profiles and Python drivers of the package, the drivers of
other distributions (entry points of the group ``gardu.drivers``).
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import drivers
from agent.base.i18n import _
from drivers.sdk.contract import Driver, is_field_name

LOCAL_PROFILES = Path("/etc/gardu/profiles")
ENTRY_POINTS = "gardu.drivers"
_NO_DRIVERS = frozenset({"sdk", "sim", "profiles"})
_NAME = re.compile("[a-z0-9][a-z0-9_-]{0,31}")


class UnknownDriver(LookupError):
    """There is no driver of this name. The text is a line for people, with the ``near`` names."""

    def __init__(self, name: str, near: tuple[str, ...]) -> None:
        self.name, self.near = name, near
        if near:
            text = _("unknown driver {name}; did you mean {near}?").format(name=name, near=", ".join(near))
        else:
            text = _("unknown driver {name}; run gardu drivers to list them").format(name=name)
        super().__init__(text)


class DriverBroken(ValueError):
    """A driver exists but cannot be used. The text is a line for people: which, where, why."""


class Catalog:
    """The drivers of the gateway. ``local``: a directory with profiles that override the shipped ones."""

    def __init__(self, local: Path = LOCAL_PROFILES) -> None:
        self._package = Path(next(iter(drivers.__path__)))
        self._folders = (local, self._package / "profiles")
        self._loaded: dict[str, tuple[bytes, Driver]] = {}

    def names(self) -> tuple[str, ...]:
        """Return the names of all drivers, sorted. Loads no driver, but lists all distributions."""
        return tuple(sorted({*self._own_names(), *_entry_points()}))

    def stamp(self) -> object:
        """Return a value that changes when a profile or driver module is added, removed or changed. Reads none."""
        found: list[tuple[str, int]] = []
        for folder in (*self._folders, self._package):
            with contextlib.suppress(OSError), os.scandir(folder) as entries:
                for entry in entries:
                    with contextlib.suppress(OSError):
                        found.append((entry.path, entry.stat().st_mtime_ns))
        return sorted(found)

    def get(self, name: str) -> Driver:
        """Return the driver of this name: the same value as before, unless its profile has changed.

        Raises UnknownDriver, or DriverBroken if its module or profile cannot be loaded. Reads files.
        """
        if _NAME.fullmatch(name):
            for folder in self._folders:
                if (raw := _profile_bytes(folder / f"{name}.toml")) is not None:
                    return self._from_profile(name, raw, folder / f"{name}.toml")
            if name in self._module_names():
                return self._from_module(name)
            if name in (points := _entry_points()):
                return self._from_module(name, points[name])
        raise UnknownDriver(name, self._near(name))

    def _from_profile(self, name: str, raw: bytes, file: Path) -> Driver:
        if name in self._loaded and self._loaded[name][0] == raw:
            return self._loaded[name][1]
        from drivers.sdk.profiles.profile import ProfileError, load_profile

        try:
            driver = load_profile(raw, str(file))
        except ProfileError as error:
            raise DriverBroken(_("invalid profile: {problems}").format(problems=error)) from error
        self._loaded[name] = raw, self._checked(name, driver, str(file))
        return self._loaded[name][1]

    def _from_module(self, name: str, target: str = "") -> Driver:
        if name not in self._loaded:
            module, _unused, attribute = (target or f"drivers.{name}:DRIVER").partition(":")
            try:
                found = getattr(import_module(module), attribute or "DRIVER")
            except Exception as error:
                why = f"{type(error).__name__}: {error}".splitlines()[0]
                raise DriverBroken(
                    _("cannot load driver {name} ({module}): {why}").format(name=name, module=module, why=why)
                ) from error
            driver = self._checked(name, found, module)
            # Foreign code never runs on the event loop, whatever it declares.
            self._loaded[name] = b"", replace(driver, inline=False) if target else driver
        return self._loaded[name][1]

    def _checked(self, name: str, found: object, where: str) -> Driver:
        if not isinstance(found, Driver):
            raise DriverBroken(
                _("{where} is not a driver: DRIVER is {found}").format(where=where, found=type(found).__name__)
            )
        if found.name != name:
            raise DriverBroken(
                _("{where} names its driver {other}, not {name}").format(where=where, other=found.name, name=name)
            )
        for field in found.fields:
            if not is_field_name(field):
                raise DriverBroken(
                    _("{where} has a field {field}, which is not a valid name").format(where=where, field=field)
                )
        return found

    def _own_names(self) -> Iterator[str]:
        for folder in self._folders:
            yield from (Path(entry).stem for entry in _entries(folder) if entry.endswith(".toml"))
        yield from self._module_names()

    def _module_names(self) -> Iterator[str]:
        for entry in _entries(self._package):
            stem, suffix = os.path.splitext(entry)
            is_package = not suffix and (self._package / entry / "__init__.py").is_file()
            if stem not in _NO_DRIVERS and _NAME.fullmatch(stem) and (suffix == ".py" or is_package):
                yield stem

    def _near(self, name: str) -> tuple[str, ...]:
        from difflib import get_close_matches

        return tuple(get_close_matches(name, self.names(), cutoff=0.5))


def _profile_bytes(file: Path) -> bytes | None:
    """Return the content of a profile; None if it does not exist. Raises DriverBroken if it cannot be read."""
    try:
        return file.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise DriverBroken(_("cannot read profile {file}: {why}").format(file=file, why=error.strerror)) from error


def _entries(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _entry_points() -> dict[str, str]:
    """Return the drivers of other distributions: name -> ``module:attribute``."""
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
