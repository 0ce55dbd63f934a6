"""The build backend of pyproject.toml: compiles the translations and then calls setuptools.

Run as a program, it only compiles the translations.
"""

from pathlib import Path

import polib
from setuptools import build_meta
from setuptools.build_meta import *  # noqa: F403 - every other hook stays as it is


def compile_translations() -> None:
    """Compile each ``.po`` file whose ``.mo`` file is missing or older."""
    for source in (Path(__file__).parents[1] / "agent" / "locale").glob("*/LC_MESSAGES/*.po"):
        compiled = source.with_suffix(".mo")
        if not compiled.exists() or compiled.stat().st_mtime < source.stat().st_mtime:
            polib.pofile(str(source)).save_as_mofile(str(compiled))


def build_wheel(*args: object, **options: object) -> str:
    """Build a wheel (PEP 517)."""
    compile_translations()
    return build_meta.build_wheel(*args, **options)  # type: ignore[arg-type]


def build_editable(*args: object, **options: object) -> str:
    """Build an editable wheel (PEP 660)."""
    compile_translations()
    return build_meta.build_editable(*args, **options)  # type: ignore[arg-type]


if __name__ == "__main__":
    compile_translations()
