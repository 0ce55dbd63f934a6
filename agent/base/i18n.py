"""What people read, in English or Indonesian, by gettext.

English is written where it is used: ``_("port {port} does not exist").format(port=p)``. Its Indonesian stands in
``agent/locale/id/LC_MESSAGES/gardu.po`` and is loaded only where the locale asks for it.
"""

import gettext
from collections.abc import Mapping
from pathlib import Path

# The driver kit has messages too, and it cannot import the agent.
from drivers.sdk.messages import _, use_translations

__all__ = ["_", "choose_language"]

_DOMAIN = "gardu"
_LOCALE_DIR = Path(__file__).parents[1] / "locale"


def choose_language(environ: Mapping[str, str]) -> str:
    """Use the language of the locale and return it: ``id`` or ``en``. Reads LC_ALL, LC_MESSAGES and LANG, in this
    order."""
    locale = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    if locale.split("_")[0].split(".")[0].lower() != "id":
        use_translations(gettext.NullTranslations())
        gettext.textdomain("messages")
        return "en"
    use_translations(gettext.translation(_DOMAIN, _LOCALE_DIR, ["id"], fallback=True))
    # argparse takes its own words from here.
    gettext.bindtextdomain(_DOMAIN, _LOCALE_DIR)
    gettext.textdomain(_DOMAIN)
    return "id"
