"""The table of features is read from the tests themselves, and refuses what it cannot read."""

from pathlib import Path

import pytest

from tests.features import ROOT, main, read_sections

TOML = '["Calls"]\nCAL-01 = "Place a | call"\nCAL-02 = "End a call"\n'


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "tests" / "unit").mkdir(parents=True)
    (tmp_path / "docs" / "features.toml").write_text(TOML)
    return tmp_path


def put(root: Path, text: str) -> None:
    (root / "tests" / "unit" / "test_x.py").write_text(text)


@pytest.mark.parametrize(
    "text",
    [
        '@pytest.mark.accepts("CAL-01")\ndef test_a(): ...',
        '@pytest.mark.live\n@pytest.mark.accepts("CAL-01")\nasync def test_a(): ...',
        'pytestmark = [pytest.mark.live, pytest.mark.accepts("CAL-01")]\ndef test_a(): ...',
        '@pytest.mark.accepts("CAL-01")\nclass TestIt:\n    def test_a(self): ...',
    ],
)
def test_a_marked_test_proves_its_id(root: Path, text: str) -> None:
    put(root, text)
    assert main([], root) == 0
    written = (root / "docs" / "features.md").read_text()
    assert "1 of 2 proven" in written
    assert "test_a`" in written
    assert "| CAL-02 | End a call | not yet |" in written
    assert "Place a \\| call" in written


def test_check_tells_a_stale_file_from_a_current_one(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(root, "def test_a(): ...")
    assert main(["--check"], root) == 1
    assert main([], root) == 0
    assert main(["--check"], root) == 0
    put(root, '@pytest.mark.accepts("CAL-02")\ndef test_a(): ...')
    assert main(["--check"], root) == 1
    assert "stale" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('@pytest.mark.accepts("CAL-99")\ndef test_a(): ...', "test_x.py:2: test_a accepts 'CAL-99'"),
        ("@pytest.mark.accepts(ID)\ndef test_a(): ...", "plain strings"),
        ("@pytest.mark.accepts\ndef test_a(): ...", "plain strings"),
        ('@pytest.mark.accepts("CAL-01")\ndef helper(): ...', "helper is no test"),
    ],
)
def test_a_mark_that_proves_nothing_is_an_error(
    root: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    put(root, text)
    assert main(["--check"], root) == 2
    assert says in capsys.readouterr().err


def test_the_projects_own_file_is_readable_and_has_every_kind_of_id() -> None:
    ids = [id_ for lines in read_sections(ROOT / "docs" / "features.toml").values() for id_ in lines]
    assert len(ids) == len(set(ids))
    assert {id_[:3] for id_ in ids} >= {
        "CAM",
        "ORI",
        "STA",
        "IVR",
        "NUM",
        "DNC",
        "SCH",
        "BAT",
        "USR",
        "CID",
        "OPS",
    }
