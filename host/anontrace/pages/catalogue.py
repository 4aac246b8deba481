"""Languages: English, and those that have a .po file in a package's `locale`, which is read as it is. Nothing is
compiled beforehand, so a new language is one file."""

from functools import cache
from gettext import GNUTranslations, NullTranslations
from io import BytesIO

ENGLISH = "en"
NAMES = {ENGLISH: "English", "de": "Deutsch"}


@cache
def translations(package: str, language: str) -> NullTranslations:
    """What the words of a package are translated by into this language; it leaves them as they are in English, and in
    a language that is none of ours."""
    if language == ENGLISH or language not in NAMES:
        return NullTranslations()
    from importlib import resources

    import polib  # type: ignore[import-untyped]  # not for English

    text = resources.files(package).joinpath("locale", f"{language}.po").read_text(encoding="utf-8")
    return GNUTranslations(BytesIO(polib.pofile(text).to_binary()))


def chosen(cookie: str, accepted: str) -> str:
    """The language that was chosen, else the first that the browser asks for and there is."""
    if cookie in NAMES:
        return cookie
    for each in accepted.split(","):
        code = each.partition(";")[0].strip().partition("-")[0].lower()
        if code in NAMES:
            return code
    return ENGLISH
