"""`dialer-admin setup`: secrets are made once, agree everywhere, and are seen by nobody else."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from dialerd.cli.main import cli
from dialerd.cli.setup import set_up
from dialerd.config_file import load
from dialerd.store.errors import Refused


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "asterisk").mkdir()
    return tmp_path / "dialerd", tmp_path / "asterisk"


@pytest.mark.accepts("OPS-15")
def test_the_first_set_up_gives_both_sides_the_same_fresh_secrets(places: tuple[Path, Path]) -> None:
    etc, asterisk = places
    done = set_up(etc, asterisk)
    config = load(etc / "dialerd.toml", {})
    ami, ari = config.ami.secret.get_secret_value(), config.ari.password.get_secret_value()
    assert (asterisk / "dialerd-secrets" / "manager.conf").read_text() == f"secret = {ami}\n"
    assert (asterisk / "dialerd-secrets" / "ari.conf").read_text() == f"password = {ari}\n"
    assert len({ami, ari, config.web.token.get_secret_value()}) == 3
    assert min(len(ami), len(ari)) >= 48
    assert len(done.written) == 4 and done.kept == []


@pytest.mark.accepts("OPS-15")
def test_nobody_else_may_read_them_whatever_the_umask(places: tuple[Path, Path]) -> None:
    old = os.umask(0)
    try:
        set_up(*places)
    finally:
        os.umask(old)
    etc, asterisk = places
    assert (etc / "conf.d" / "secrets.toml").stat().st_mode & 0o777 == 0o600
    for name in ("manager.conf", "ari.conf"):
        assert (asterisk / "dialerd-secrets" / name).stat().st_mode & 0o777 == 0o640
    assert (asterisk / "dialerd-secrets").stat().st_mode & 0o777 == 0o750


def test_a_second_run_changes_nothing(places: tuple[Path, Path]) -> None:
    etc, asterisk = places
    set_up(etc, asterisk)
    (etc / "dialerd.toml").write_text("node = 'mine'\n")
    before = {p: p.read_bytes() for folder in places for p in folder.rglob("*") if p.is_file()}
    again = set_up(etc, asterisk)
    assert again.written == [] and len(again.kept) == 4
    assert {p: p.read_bytes() for folder in places for p in folder.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("lost", ["conf.d/secrets.toml", "dialerd-secrets/ari.conf"])
def test_a_lost_file_is_made_again_from_the_other_side(places: tuple[Path, Path], lost: str) -> None:
    etc, asterisk = places
    set_up(etc, asterisk)
    file = (etc if lost.startswith("conf.d") else asterisk) / lost
    before = {p: p.read_text() for p in (asterisk / "dialerd-secrets").iterdir()}
    file.unlink()
    assert set_up(etc, asterisk).written == [str(file)]
    assert {p: p.read_text() for p in (asterisk / "dialerd-secrets").iterdir()} == before
    config = load(etc / "dialerd.toml", {})
    assert before[asterisk / "dialerd-secrets" / "manager.conf"] == f"secret = {config.ami.secret.get_secret_value()}\n"


def test_two_sides_that_disagree_are_refused_and_left_alone(places: tuple[Path, Path]) -> None:
    etc, asterisk = places
    set_up(etc, asterisk)
    (asterisk / "dialerd-secrets" / "ari.conf").write_text("password = another\n")
    with pytest.raises(Refused, match=r"ari\.password differs"):
        set_up(etc, asterisk)


def test_a_secret_that_would_break_asterisks_file_is_refused(places: tuple[Path, Path]) -> None:
    etc, asterisk = places
    (etc / "conf.d").mkdir(parents=True)
    (etc / "conf.d" / "secrets.toml").write_text(
        "[ami]\nsecret = 'a;\\n#exec rm'\n[ari]\npassword = 'b'\n[web]\ntoken = 'c'\n"
    )
    with pytest.raises(Refused, match=r"ami\.secret: only printable"):
        set_up(etc, asterisk)
    assert not (asterisk / "dialerd-secrets").exists()


def test_the_command_prints_paths_and_steps_but_no_secret(places: tuple[Path, Path]) -> None:
    etc, asterisk = places
    result = CliRunner().invoke(cli, ["setup", "--etc", str(etc), "--asterisk", str(asterisk), "--json"])
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["written"]) == 4
    assert "next 1." in result.stderr
    config = load(etc / "dialerd.toml", {})
    for secret in (config.ami.secret, config.ari.password, config.web.token):
        assert secret.get_secret_value() not in result.output


def test_a_machine_without_asterisk_is_told(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, ["setup", "--etc", str(tmp_path), "--asterisk", str(tmp_path / "no")])
    assert result.exit_code == 1
    assert "--asterisk" in result.stderr
