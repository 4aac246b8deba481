"""A disease file: what comes along is whole, and one that hides where its figures are from is refused."""

from pathlib import Path

import pytest
from anontrace.epidemic import disease
from anontrace.epidemic.errors import EpidemicError

TEXT = (Path(disease.__file__).parent / "diseases" / "sars-cov-2.toml").read_text()


@pytest.mark.parametrize("name", disease.shipped())
def test_every_figure_that_comes_along_has_a_source(name: str) -> None:
    found = disease.read(name)
    sections = [value for value in vars(found).values() if not isinstance(value, str)]
    assert len(sections) == 8 and all("doi:" in each.source or "20" in each.source for each in sections)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('source = "Liu', '# source = "Liu', "mine.toml, line 6: [reproduction] has no source"),
        ('source = "Liu and', 'source = "" # "', "[reproduction] has no source"),
        ("r0 = 2.79", "r0 = -1", "mine.toml, line 7: reproduction.r0"),
        ("mean = 4.5", "", "latent.mean: Field required"),
        ("k = 0.45", "k = 0.45\nkk = 1", "dispersion.kk"),
        ("share = 0.20", "share = true = 1", "mine.toml: not TOML"),
        ('code = "U07.1"', 'code = "flu"', "code"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_with_its_place(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(EpidemicError) as caught:
        disease.parse(TEXT.replace(old, new, 1), "mine.toml")
    assert said in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"\0" * 10, b"[" * 100_000])
def test_what_is_no_disease_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "disease.toml"
    path.write_bytes(content)
    with pytest.raises(EpidemicError):
        disease.read(str(path))
    with pytest.raises(EpidemicError, match="sars-cov-2"):
        disease.read(str(tmp_path / "none.toml"))
