"""The wearer's language: which one is spoken, and whether everything is translated."""

import re
from collections.abc import Iterator
from importlib import resources

import pytest
from anontrace.companion import words
from anontrace.companion.exposures import judging, presentation
from anontrace.companion.exposures.judging import Exposure
from babel.messages.extract import extract_from_dir

SAME = {"COVID-19", "Cholera", "Firmware", "Passphrase", "SARS", "Mumps"}


def said() -> Iterator[str]:
    """All that commands and page say by the catalogue."""
    templates = {"trim_blocks": "true", "lstrip_blocks": "true", "silent": "false"}
    found = extract_from_dir(
        str(resources.files("anontrace.companion")),
        [("page/templates/**.html", "jinja2"), ("**.py", "python")],
        {"page/templates/**.html": templates},
        {"_": None, "spoken": None, "later": None},
    )
    yield from (str(each[2]) for each in found)


def test_everything_is_said_in_german_too_with_the_same_values():
    found = set(said())
    assert len(found) > 250
    german = words.translations("de")
    assert {each for each in found if german.gettext(each) == each} <= SAME
    for each in found:
        values = re.findall(r"%\(\w+\)s", each)
        assert sorted(values) == sorted(re.findall(r"%\(\w+\)s", german.gettext(each))), each


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, "en"),
        ({"LANG": "C.UTF-8"}, "en"),
        ({"LANG": "de_AT.UTF-8"}, "de"),
        ({"LANG": "de"}, "de"),
        ({"LANG": "de_DE@euro", "LC_MESSAGES": "en_GB.UTF-8"}, "en"),
        ({"LANG": "en_GB.UTF-8", "LC_MESSAGES": "de_DE.UTF-8"}, "de"),
        ({"LANG": "en_GB.UTF-8", "LC_ALL": "de_DE.UTF-8", "LC_MESSAGES": "C"}, "de"),
        ({"LANG": "fr_FR.UTF-8", "LANGUAGE": "fr:de:en"}, "de"),
        ({"LANG": "C", "LANGUAGE": "de"}, "en"),
        ({"LANG": "xx_\u00e9"}, "en"),
    ],
)
def test_commands_speak_the_language_of_the_environment(environment, language):
    assert words.of_environment(environment) == language


def test_what_a_wearer_is_told_is_translated_and_what_a_program_reads_is_not(monkeypatch):
    exposure = Exposure(
        b"c" * 16, b"r" * 8, judging.TOLD, "U07.2", {5_892_000: 1200}, 15, 50, "Call", 1_767_600_000, False
    )
    english = presentation.document(exposure)
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    told = "\n".join(presentation.told_lines(exposure))
    assert "Was zu tun ist: Halten Sie sich von anderen fern" in told
    assert "COVID-19 (nicht durch einen Test bestätigt)" in told
    assert presentation.document(exposure) == english
    assert "not confirmed" in english["disease_name"]
