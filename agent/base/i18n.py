"""Messages for people, in English or Indonesian, using gettext.

English is written where it is used: ``_("port {port} does not exist").format(port=p)``. The Indonesian translation is
in ``agent/locale/id/LC_MESSAGES/gardu.po`` and is loaded only if the locale asks for it.
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
    """Set the language from the locale and return it: ``id`` or ``en``. Uses LC_ALL, LC_MESSAGES or LANG, in this
    order."""
    locale = environ.get("LC_ALL") or environ.get("LC_MESSAGES") or environ.get("LANG") or ""
    if locale.split("_")[0].split(".")[0].lower() != "id":
        use_translations(gettext.NullTranslations())
        gettext.textdomain("messages")
        return "en"
    use_translations(gettext.translation(_DOMAIN, _LOCALE_DIR, ["id"], fallback=True))
    # argparse translates its own messages through this domain.
    gettext.bindtextdomain(_DOMAIN, _LOCALE_DIR)
    gettext.textdomain(_DOMAIN)
    return "id"
