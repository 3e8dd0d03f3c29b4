import pytest

from store.authorities import OwnNames

NAMES = OwnNames("https://Egret.Example.com:8443/", ("store-1", "bücher.example", "::1", "127.1", ""))


@pytest.mark.parametrize(
    "host",
    ["egret.example.com", "EGRET.example.com.:1", "store-1:8700", "xn--bcher-kva.example", "localhost", "10.0.0.7:80",
     "[fd00::1]:8700", "egret.localhost", "app.localhost:3000"],
)  # fmt: skip
def test_ours(host):
    """The URL's host, further names, addresses and the names of loopback; ports say nothing."""
    assert NAMES.has(host)


@pytest.mark.parametrize(
    "host",
    ["", "evil.test", "example.com", "x.egret.example.com", "egret.example.com.evil.test", "localhost.evil.test", "xlocalhost", "127.1",
     "2130706433", "localhost:x", "localhost:0", "a@localhost", "localhost,evil.test", "[::1", "[fe80::1%25lo]"],
)  # fmt: skip
def test_not_ours(host):
    """All others; also what cannot be read, even where a setting has it."""
    assert not NAMES.has(host)


def test_without_a_url():
    """Loopback and addresses are ours, told nothing."""
    assert OwnNames(None).has("127.0.0.1:1") and not OwnNames(None).has("egret.example.com")
