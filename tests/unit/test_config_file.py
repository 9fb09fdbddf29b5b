"""The configuration: what is read, what wins, and that each mistake is named."""

from pathlib import Path

import pytest

from dialerd.config import Config
from dialerd.config_file import ConfigError, lines_of, load, split_password

SECRETS = '[ami]\nsecret = "s1"\n[ari]\npassword = "s2"\n[web]\ntoken = "s3"\n'


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "dialerd.toml").write_text('node = "a"\n')
    secrets = tmp_path / "conf.d" / "secrets.toml"
    secrets.touch(mode=0o600)
    secrets.write_text(SECRETS)
    return tmp_path


def read(etc: Path, main: str | None = None, **environ: str) -> Config:
    if main is not None:
        (etc / "dialerd.toml").write_text(main)
    return load(etc / "dialerd.toml", environ)


def complaints(etc: Path, main: str | None = None, **environ: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(etc, main, **environ)
    assert str(caught.value).splitlines() == [str(p) for p in caught.value.problems]
    return [str(p).replace(str(etc), "") for p in caught.value.problems]


def test_the_smallest_file_is_enough_once_secrets_exist(etc: Path) -> None:
    config = read(etc)
    assert (config.node, config.ami.secret.get_secret_value(), config.web.port) == ("a", "s1", 8000)


def test_later_files_and_then_the_environment_win(etc: Path) -> None:
    (etc / "conf.d" / "20.toml").write_text("[web]\nport = 20\n")
    (etc / "conf.d" / "10.toml").write_text("[web]\nport = 10\nhost = '::1'\n")
    assert read(etc, "[web]\nport = 1\n").web.port == 20
    config = read(etc, "[web]\nport = 1\n", DIALERD_WEB_PORT="30", DIALERD_NODE="n", DIALERD_AMI_SECRET="e")
    assert (config.web.port, config.web.host, config.node) == (30, "::1", "n")
    assert config.ami.secret.get_secret_value() == "e"


@pytest.mark.accepts("AST-01", "AST-02", "RED-03", "RED-04")
def test_the_older_variable_names_are_understood(etc: Path) -> None:
    config = read(
        etc,
        ASTERISK_AMI_HOST="pbx",
        ASTERISK_AMI_PORT="5039",
        ASTERISK_AMI_USER="dialer",
        ASTERISK_AMI_SECRET="a",
        ARI_HTTP_URL="http://pbx:8088/ari",
        ARI_USERNAME="u",
        ARI_PASSWORD="b",
        ARI_APP="contactcenter",
        REDIS_URL="redis://redis:6379/1",
        REDIS_PASSWORD="c",
        DATABASE_URL="postgresql+asyncpg://joe:p%40ss@db:5432/dialer",
    )
    ami, ari = config.ami, config.ari
    assert (ami.host, ami.port, ami.username, ami.secret.get_secret_value()) == ("pbx", 5039, "dialer", "a")
    assert (ari.url, ari.username, ari.app) == ("http://pbx:8088/ari", "u", "contactcenter")
    assert ari.password.get_secret_value() == "b"
    assert config.redis.url == "redis://redis:6379/1"
    assert config.redis.password is not None and config.redis.password.get_secret_value() == "c"
    assert config.postgres.dsn == "postgresql://joe@db:5432/dialer"
    assert config.postgres.password is not None and config.postgres.password.get_secret_value() == "p@ss"


def test_our_own_variable_wins_over_the_older_name(etc: Path) -> None:
    assert read(etc, ASTERISK_AMI_PORT="1", DIALERD_AMI_PORT="2").ami.port == 2


def test_all_mistakes_are_named_at_once_with_file_line_and_key(etc: Path) -> None:
    main = '[ami]\nprot = 5038\n\n[web]\nport = "x"\n\n[trunk.a]\nendpoint = "b"\n\n[trunks.t]\nmax_cals = 3\n'
    assert complaints(etc, main, DIALERD_AMI_HOTS="h", DIALERD_TRUNKS_A_ROUTE="x") == [
        "DIALERD_AMI_HOTS: unknown variable; the nearest known is DIALERD_AMI_HOST",
        "DIALERD_TRUNKS_A_ROUTE: unknown variable; trunks are declared in files",
        "/dialerd.toml:2: ami.prot: unknown key; the nearest known is ami.port",
        "/dialerd.toml:5: web.port: expected a valid integer, unable to parse string as an integer, not 'x'",
        "/dialerd.toml:10: trunks.t.endpoint: missing",
        "/dialerd.toml:11: trunks.t.max_cals: unknown key; the nearest known is trunks.t.max_calls",
        "/dialerd.toml:7: trunk: unknown key; the nearest known is trunks",
    ]


@pytest.mark.parametrize(
    ("main", "says"),
    [
        ("[web\n", "/dialerd.toml:1: Expected"),
        ("[web]\nport = 1\nport = 2\n", "/dialerd.toml:3: Cannot overwrite"),
        ("[web]\nport = 99999\n", ":2: web.port: expected less than or equal to 65535, not '99999'"),
        ("[trunks.'a b']\nendpoint='x'\n", ":1: trunks.a b: expected 1 to 64 letters"),
        ("ami = 5\n", "/dialerd.toml:1: ami: expected a table, not '5'"),
        ("log.level = 'loud'\n", ":1: log.level: expected 'debug', 'info', 'warning' or 'error', not 'loud'"),
        ("[postgres]\ndsn = 'postgresql://a:hunter2@h/d'\n", ":2: postgres.dsn: an address with a password"),
        ("[ari]\npasword = 'hunter2'\n", ":2: ari.pasword: unknown key; the nearest known is ari.password"),
        ("#" * 1_000_001, "larger than"),
    ],
)
def test_a_wrong_value_says_where_and_what_was_expected(etc: Path, main: str, says: str) -> None:
    if "ami = 5" in main:
        (etc / "conf.d" / "secrets.toml").unlink()
    found = complaints(etc, main)
    assert any(says in line for line in found), found
    assert "hunter2" not in "".join(found)


def test_a_missing_or_empty_secret_is_never_replaced_by_a_default(etc: Path) -> None:
    (etc / "conf.d" / "secrets.toml").write_text('[ari]\npassword = ""\n[web]\ntoken = 7\n')
    assert complaints(etc) == [
        ": ".join(("ami.secret", "missing", "'dialer-admin setup' makes it, or set DIALERD_AMI_SECRET")),
        "/conf.d/secrets.toml:2: ari.password: expected something, not an empty text",
        "/conf.d/secrets.toml:4: web.token: expected a valid string",
    ]


@pytest.mark.accepts("OPS-15")
def test_a_secrets_file_that_everybody_may_read_is_refused_with_the_command_to_type(etc: Path) -> None:
    (etc / "conf.d" / "secrets.toml").chmod(0o604)
    found = complaints(etc)
    assert len(found) == 3
    assert all("chmod o= " in line and "secrets.toml" in line for line in found)


def test_a_link_out_of_conf_d_is_not_followed(etc: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside") / "x.toml"
    outside.write_text("[web]\nport = 1\n")
    (etc / "conf.d" / "x.toml").symlink_to(outside)
    assert complaints(etc) == ["/conf.d/x.toml: a link that leads out of conf.d is not followed"]


def test_no_file_at_all_says_what_to_type(tmp_path: Path) -> None:
    assert "dialer-admin setup" in complaints(tmp_path)[0]


def test_a_file_in_another_encoding_is_named(etc: Path) -> None:
    (etc / "dialerd.toml").write_bytes('node = "ä"'.encode("latin-1"))
    assert complaints(etc) == ["/dialerd.toml: not UTF-8 at byte 8"]


def test_lines_are_found_through_tables_dotted_and_quoted_keys() -> None:
    text = 'a.b = 1\n[x] # c\n  y = "z"\n[trunks."out-1"]\nendpoint = 2\n'
    assert lines_of(text) == {
        ("a", "b"): 1,
        ("x",): 2,
        ("x", "y"): 3,
        ("trunks", "out-1"): 4,
        ("trunks", "out-1", "endpoint"): 5,
    }


def test_a_password_is_split_off_an_address() -> None:
    assert split_password("redis://:pw@h:1/2") == ("redis://h:1/2", "pw")
    assert split_password("postgresql:///x") == ("postgresql:///x", None)


@pytest.mark.accepts("BAT-01", "BAT-08")
def test_the_batch_apis_older_variables_are_understood_and_its_mistakes_named(etc: Path) -> None:
    assert read(etc).batch.token is None
    batch = read(etc, DIALER_TOKEN="t", ASSIGNMENT_TIMEOUT_MINUTES="5").batch
    assert batch.token is not None
    assert (batch.token.get_secret_value(), batch.assignment_timeout_minutes) == ("t", 5)
    assert (batch.timezone, batch.short_retry_seconds, batch.long_retry_seconds) == ("Asia/Tehran", 300, 900)
    says = complaints(etc, '[batch]\ntimezone = "Asia/Nowhere"\ndefault_size = 0\n', DIALER_TOKEN="")
    assert len(says) == 3
    assert "/dialerd.toml:2: batch.timezone: " in "\n".join(says)


@pytest.mark.accepts("ORI-12", "ORI-14", "ORI-15")
def test_the_single_calls_older_variables_are_understood(etc: Path) -> None:
    assert read(etc).calls.dry_run is False
    calls = read(
        etc, DEFAULT_CONTEXT="dialer-outbound", DEFAULT_EXTENSION="s", DEFAULT_TIMEOUT="4500",
        DEFAULT_CALLER_ID="Outbound Call", DIALER_DRY_RUN="true", TELEPHONY_BACKEND="asterisk",
    ).calls  # fmt: skip
    assert (calls.context, calls.extension, calls.timeout_seconds) == ("dialer-outbound", "s", 4.5)
    assert (calls.caller_id, calls.dry_run) == ("Outbound Call", True)
    says = complaints(etc, DEFAULT_TIMEOUT="300000", TELEPHONY_BACKEND="twilio")
    assert len(says) == 2 and any("TELEPHONY_BACKEND" in text for text in says)
