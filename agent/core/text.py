"""What a person reads, in English or Indonesian.

English is written where it is said, ``say("port {port} is not there", port=p)``; its Indonesian stands in
:mod:`agent.core.bahasa`, which is loaded only where the locale asks for it.
"""

from collections.abc import Mapping

_table: Mapping[str, str] = {}


def choose_language(environ: Mapping[str, str]) -> str:
    """Take the language of the locale: ``id`` or ``en``. Reads LC_ALL, LC_MESSAGES and LANG, in this order."""
    global _table
    locale = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    if locale.split("_")[0].split(".")[0].lower() == "id":
        from agent.core.bahasa import BAHASA

        _table = BAHASA
        return "id"
    _table = {}
    return "en"


def say(english: str, **values: object) -> str:
    """The sentence in the chosen language, its ``{placeholders}`` filled in."""
    return _table.get(english, english).format(**values)
