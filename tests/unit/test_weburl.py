"""Where a webhook may go: nowhere but to hosts of the configuration, and to private addresses only where it says so."""

import pytest

from dialerd.core import weburl

HOSTS = ("hooks.example.com",)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/", "https://127.0.0.1:5038/", "https://169.254.169.254/", "https://[::]/",
        "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::7f00:1]/", "https://localhost/",
        "https://x.localhost/", "https://0x7f.1/", "https://2130706433/", "https://127.1/", "gopher://h.example.com/",
        "file:///etc/passwd", "https://", "https://h.example.com\\@127.0.0.1/", "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/", "https://a b/", "https://hooks.example.com/\u00e9", "https://192.168.1.1/",
        "https://[fe80::1%25eth0]/", "https://100.64.0.1/", "https://224.0.0.1/", "https://u:p@hooks.example.com/",
    ],
)  # fmt: skip
def test_a_webhook_goes_to_public_names_over_https_only(url: str) -> None:
    """[bad input 49] Also where the host stands in the list of hosts: it is no list of private ones."""
    host = url.partition("://")[2].partition("/")[0].rpartition("@")[2].strip("[]")
    assert weburl.problem(url, (*HOSTS, host, host.partition(":")[0]), ()) is not None


def test_only_hosts_of_the_configuration_are_told_anything() -> None:
    assert weburl.problem("https://hooks.example.com/x?y=1", HOSTS, ()) is None
    assert "webhook_hosts" in (weburl.problem("https://other.example.com/x", HOSTS, ()) or "")
    assert weburl.problem("http://10.0.0.5:8080/x", (), ("10.0.0.5",)) is None
    assert weburl.problem("http://10.0.0.6/x", ("10.0.0.6",), ("10.0.0.5",)) is not None
