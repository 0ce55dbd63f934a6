"""Messages for people. They are English until a program chooses another language."""

from gettext import NullTranslations

_translations = NullTranslations()


def _(message: str) -> str:
    """Return the message in the chosen language, with its ``{placeholders}`` as they are."""
    return _translations.gettext(message)


def use_translations(translations: NullTranslations) -> None:
    """Use these translations from now on, everywhere in the process."""
    global _translations
    _translations = translations
