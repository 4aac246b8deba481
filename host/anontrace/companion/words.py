"""The wearer's language: what commands and the page say is translated by one catalogue, `locale/`.

Commands speak the language of the environment, as other programs do; the page that of its visitor. What a program
reads (`--json`) and the sentences of errors are English.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from gettext import NullTranslations

from anontrace.pages import catalogue
from anontrace.pages.catalogue import ENGLISH

_VARIABLES = ("LC_ALL", "LC_MESSAGES", "LANG")  # of POSIX: the first one that is set counts
_NONE = ("C", "POSIX", "")
_chosen: ContextVar[str | None] = ContextVar("language", default=None)


def of_environment(environment: Mapping[str, str]) -> str:
    """The first language that is wished for and that there is; English where none is. LANGUAGE lists several, and
    counts where a locale is set at all."""
    locale = next((environment[name] for name in _VARIABLES if environment.get(name)), "")
    if locale.partition(".")[0] in _NONE:
        return ENGLISH
    for each in (*environment.get("LANGUAGE", "").split(":"), locale):
        code = each.partition(".")[0].partition("@")[0].partition("_")[0].lower()
        if code in catalogue.NAMES:
            return code
    return ENGLISH


def language() -> str:
    """In which words are said now."""
    return _chosen.get() or of_environment(os.environ)


@contextmanager
def spoken_in(code: str) -> Iterator[None]:
    """What is said within is said in this language."""
    token = _chosen.set(code)
    try:
        yield
    finally:
        _chosen.reset(token)


def translations(code: str) -> NullTranslations:
    """What words are translated by."""
    return catalogue.translations(__package__, code)


def spoken(words: str, /, **values: object) -> str:
    """These words in the wearer's language, with values for what stands in them as `%(name)s`."""
    said = translations(language()).gettext(words)
    return said % values if values else said


def later(words: str) -> str:
    """Words of a table, which are found for the catalogue here and said when they are shown."""
    return words
