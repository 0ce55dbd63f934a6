"""What people read, in English or Indonesian, by gettext.

English is written where it is used: ``_("port {port} does not exist").format(port=p)``. Its Indonesian stands in
``agent/locale/id/LC_MESSAGES/gardu.po`` and is loaded only where the locale asks for it.
"""

import gettext
from collections.abc import Mapping
from pathlib import Path

_DOMAIN = "gardu"
_LOCALE_DIR = Path(__file__).parents[1] / "locale"

_catalog: gettext.NullTranslations = gettext.NullTranslations()


def _(message: str) -> str:
    """Return the message in the chosen language, with its ``{placeholders}`` as they are."""
    return _catalog.gettext(message)


def choose_language(environ: Mapping[str, str]) -> str:
    """Use the language of the locale and return it: ``id`` or ``en``. Reads LC_ALL, LC_MESSAGES and LANG, in this
    order."""
    global _catalog
    locale = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    if locale.split("_")[0].split(".")[0].lower() != "id":
        _catalog = gettext.NullTranslations()
        gettext.textdomain("messages")
        return "en"
    _catalog = gettext.translation(_DOMAIN, _LOCALE_DIR, ["id"], fallback=True)
    # argparse takes its own words from here.
    gettext.bindtextdomain(_DOMAIN, _LOCALE_DIR)
    gettext.textdomain(_DOMAIN)
    return "id"
