"""The documentation as files: what it names is there. That it is wrapped is in test_architecture.py."""

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [path for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))) if path.is_file()]
# What a path on a page may begin with; short forms are explained where they are used (docs/design.md).
BASES = ("", "host/anontrace", "shared/anontrace_shared", "docs", "tests")
FOLDERS = "firmware|shared|host|tools|tests|findings|docs|companion|backend|mixnet|wire|foreign"
NAMED = re.compile(rf"(?<![\w/.-])((?:{FOLDERS})/[\w/@.-]*[\w/])")

PLACEHOLDER = re.compile(r"\b[A-Z]+\b(?!\.md)")  # as in the recipes of docs/CONTRIBUTING.md


def lines(page: Path) -> Iterator[tuple[int, str, bool]]:
    """Each line with its number, and whether it is code."""
    fenced = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fenced ^= line.startswith("```")
        yield number, line, fenced or line.startswith(("    ", "```"))


def anchors(page: Path) -> set[str]:
    """Those of a page's headings."""
    return {
        re.sub(r"[^\w\- ]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for _, line, is_code in lines(page)
        if line.startswith("#") and not is_code
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if re.match(r"\w+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / unquote(name)).resolve() if name else page
        assert path.exists(), f"{page.name}: {target}"
        assert not anchor or anchor in anchors(path), f"{page.name}: {target}"


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "changelog.md"], ids=lambda page: page.name)
def test_a_file_that_is_named_is_there(page: Path) -> None:
    missing = [
        f"line {number}: {name}"
        for number, line, _ in lines(page)
        for name in NAMED.findall(line)
        if not PLACEHOLDER.search(name) and not any((ROOT / base / name).exists() for base in BASES)
    ]
    assert missing == [], page.name


def test_the_glossary_is_in_order() -> None:
    terms = re.findall(r"^\| (?!term |---)([^|]+?) \|", (ROOT / "docs" / "glossary.md").read_text(), re.MULTILINE)
    assert len(terms) > 50 and terms == sorted(terms, key=str.lower)


def test_every_row_of_the_threat_model_names_its_test_or_says_that_nothing_prevents_it() -> None:
    """But for the last section, which says what is known to be open."""
    shown = re.compile(r"`(tests|tools)/[\w/]+\.py`|`\w+\.py`|[Nn]othing (here )?(prevents|hides)|[Nn]ot tested")
    page = (ROOT / "docs" / "threat-model.md").read_text().partition("## Known attacks and limits")[0]
    rows = re.findall(r"^- \*\*.*\n(?:  .*\n)*", page, re.MULTILINE)
    assert len(rows) > 60
    assert [row for row in rows if not shown.search(" ".join(row.split()))] == []
    figures = re.findall(r"`(\w+\.py)`\)[^|]*\|", page.partition("### What each of them finds out")[2])
    missing = [name for name in figures if not (ROOT / "tests" / "adversary" / name).exists()]
    assert len(figures) > 7 and missing == []
