"""The portal's languages: English, and those that have a .po file here, which is read as it is. Nothing is compiled
beforehand, so a new language is one file."""

from functools import cache
from gettext import GNUTranslations, NullTranslations
from importlib import resources
from io import BytesIO

from babel.messages import mofile, pofile

ENGLISH = "en"
NAMES = {ENGLISH: "English", "de": "Deutsch"}


@cache
def translations(language: str) -> NullTranslations:
    """What a page in this language is translated by."""
    if language == ENGLISH or language not in NAMES:
        return NullTranslations()
    text = resources.files(__package__).joinpath("locale", f"{language}.po").read_bytes()
    compiled = BytesIO()
    mofile.write_mo(compiled, pofile.read_po(BytesIO(text)))
    compiled.seek(0)
    return GNUTranslations(compiled)


def chosen(cookie: str, accepted: str) -> str:
    """The language that was chosen, else the first that the browser asks for and there is."""
    if cookie in NAMES:
        return cookie
    for each in accepted.split(","):
        code = each.partition(";")[0].strip().partition("-")[0].lower()
        if code in NAMES:
            return code
    return ENGLISH
