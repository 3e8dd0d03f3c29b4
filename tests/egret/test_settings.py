"""egret.settings: one file and the environment, parsed once."""

import dataclasses
import ipaddress
from dataclasses import fields
from pathlib import Path

import pytest
import yaml

from egret.kinds import Address
from egret.sections import Settings, sections
from egret.settings import SettingsError, load
from proxy.core.limits import Limits

EXAMPLE = Path(__file__).parents[2] / "config" / "egret.example.yaml"
CANARY = "canary-7Gq2"


def refuse(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> list[str]:
    file = tmp_path / "egret.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        load(file, environ or {})
    assert CANARY not in str(caught.value)
    return [line.removeprefix(str(file)).strip() for line in str(caught.value).splitlines()]


def accept(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> Settings:
    file = tmp_path / "egret.yaml"
    file.write_text(text)
    return load(file, environ or {})


def test_defaults_without_a_file():
    """No file and no variables give the documented defaults."""
    assert load(None, {}) == Settings()
    assert str(load(None, {}).proxy.listen) == "127.0.0.1:8080"


def test_an_empty_file_is_the_defaults(tmp_path):
    """An empty file, comments only, and empty sections change nothing."""
    for text in ("", "# nothing\n", "proxy:\nlimits: {}\n"):
        assert accept(tmp_path, text) == Settings()


def test_example_holds_every_key_with_its_default_and_its_sentence():
    """The example file loads, equals the defaults, and explains every key in the words of the sources."""
    text = EXAMPLE.read_text()
    assert load(EXAMPLE, {}) == Settings()
    tree = yaml.safe_load(text)
    assert {name: sorted(keys) for name, keys in tree.items()} == {
        name: sorted(key.name for key in fields(cls)) for name, cls in sections().items()
    }
    prose = " ".join(text.replace("#", " ").split())
    for cls in sections().values():
        for key in fields(cls):
            assert key.metadata["doc"] in prose, key.name


def test_limits_are_those_of_the_proxy():
    """Every limit that the proxy knows is a key, with the proxy's default."""
    ours = {key.name: key.default for key in fields(sections()["limits"])}
    theirs = {limit.name: limit.default for limit in fields(Limits)}
    assert theirs.items() <= ours.items()


def test_settings_are_frozen():
    """Nothing changes after the start."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        load(None, {}).proxy.workers = 9


def test_file_and_environment(tmp_path):
    """The file sets, the environment overrides, sizes and lists have their spellings."""
    text = "proxy: {listen: '[::1]:0', workers: 2}\nlimits: {body_bytes: 2GiB, header_bytes: 8192, max_stale: 2.5}\n"
    environ = {
        "EGRET_PROXY__WORKERS": "3",
        "EGRET_EGRESS__PORTS": "443,8443",
        "EGRET_EGRESS__STRICT_BODIES": "true",
        "EGRET_EGRESS__ALLOW_PRIVATE": "[10.0.0.0/8, ::1/128]",
        "EGRET_URL": "not a setting",
    }
    settings = accept(tmp_path, text, environ)
    assert settings.proxy.listen == Address("::1", 0)
    assert str(settings.proxy.listen) == "[::1]:0"
    assert settings.proxy.workers == 3
    assert (settings.limits.body_bytes, settings.limits.header_bytes, settings.limits.max_stale) == (2 << 30, 8192, 2.5)
    assert settings.egress.ports == (443, 8443)
    assert settings.egress.strict_bodies is True
    assert settings.egress.allow_private == (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("::1/128"))


def test_environment_trust_may_be_cleared(tmp_path):
    """An empty list variable empties the list."""
    assert accept(tmp_path, "egress: {ports: [1]}", {"EGRET_EGRESS__PORTS": ""}).egress.ports == ()


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("proxi: {}", "line 1", "unknown section proxi; allowed: store, admin, oidc, proxy"),
        ("proxy:\n  lisen: x", "line 2", "unknown key proxy.lisen; allowed: listen, public_url"),
        (f"proxy:\n\n  workers: {CANARY}", "line 3", "proxy.workers: must be a whole number from 1 to 64"),
        ("proxy: {workers: true}", "line 1", "whole number"),
        ("proxy: {workers: 1.5}", "line 1", "whole number"),
        ("proxy: {workers: 0}", "line 1", "whole number"),
        ("proxy: {workers: null}", "line 1", "whole number"),
        ("proxy: {workers: '٣'}", "line 1", "whole number"),
        (f"proxy: {{engine: {CANARY}}}", "line 1", "one of mitmproxy"),
        ("proxy: {engine: [mitmproxy]}", "line 1", "one of mitmproxy"),
        (f"proxy: {{listen: '{CANARY}:99999'}}", "line 1", "HOST:PORT"),
        ("proxy: {listen: 8080}", "line 1", "HOST:PORT"),
        (f"audit: {{syslog: 'tcp://logs.{CANARY}.com'}}", "line 1", "tls://HOST"),
        (f"audit: {{syslog: 'udp://{CANARY}'}}", "line 1", "tls://HOST"),
        (f"audit: {{syslog: 'tls://{CANARY}@logs.example.com'}}", "line 1", "tls://HOST"),
        (f"audit: {{syslog: 'tls://logs.example.com/{CANARY}'}}", "line 1", "tls://HOST"),
        ("audit: {syslog: 'tls://logs.example.com:99999'}", "line 1", "tls://HOST"),
        ("audit: {syslog: 'unix:log'}", "line 1", "tls://HOST"),
        ("audit: {syslog: 1}", "line 1", "tls://HOST"),
        (f"otlp: {{endpoint: 'http://collector.{CANARY}.com'}}", "line 1", "https:// URL"),
        (f"otlp: {{endpoint: 'https://collector.example.com/?k={CANARY}'}}", "line 1", "https:// URL"),
        ("otlp: {signals: [traces, spans]}", "line 1", "a list of traces"),
        (f"audit: {{webhooks: ['http://ops.example.com/{CANARY}']}}", "line 1", "https:// URLs"),
        (f"audit: {{webhooks: ['https://user:{CANARY}@ops.example.com/']}}", "line 1", "https:// URLs"),
        ("proxy: " + "[" * 100_000, "", "nested too deeply"),
        ("audit: {webhooks: ['https://']}", "line 1", "https:// URLs"),
        ("audit: {webhooks: ['https://a.example:99999/']}", "line 1", "https:// URLs"),
        ("audit: {webhooks: ['https://a.example/ b']}", "line 1", "https:// URLs"),
        ("audit: {webhook_actions: ['use:refuse', 'Use']}", "line 1", "a list of actions"),
        ("proxy: {listen: '::1:80'}", "line 1", "HOST:PORT"),
        ("proxy: {listen: '[::zz]:80'}", "line 1", "HOST:PORT"),
        (f"store: {{url: 'mysql://u:{CANARY}@h/d'}}", "line 1", "sqlite, or a URL"),
        (f"gateway: {{public_url: 'https://u:{CANARY}@h/'}}", "line 1", "gateway.public_url: must be null, or"),
        ("gateway: {public_url: [x]}", "line 1", "gateway.public_url"),
        ("gateway: {public_url: 'ftp://h'}", "line 1", "gateway.public_url"),
        ("gateway: {public_url: 'https://h:0'}", "line 1", "gateway.public_url"),
        ("gateway: {public_url: 'https://h:99999'}", "line 1", "gateway.public_url"),
        ("egress: {allow_private: 10.0.0.1/8}", "line 1", "host bits zero"),
        ("egress: {allow_private: [7]}", "line 1", "networks"),
        ("egress: {ports: [0]}", "line 1", "ports from 1 to 65535"),
        ("egress: {ports: {a: 1}}", "line 1", "ports from 1 to 65535"),
        (f"egress: {{trust: [/nowhere/{CANARY}.pem]}}", "line 1", "readable PEM files"),
        ("egress: {trust: [/]}", "line 1", "readable PEM files"),
        ('egress: {trust: ["\\0"]}', "line 1", "readable PEM files"),
        ("egress: {strict_bodies: 1}", "line 1", "true or false"),
        ("limits: {body_bytes: 1MB}", "line 1", "64KiB, 1MiB or 1GiB"),
        ("limits: {body_bytes: -1}", "line 1", "64KiB, 1MiB or 1GiB"),
        ("limits: {body_bytes: 99999GiB}", "line 1", "64KiB, 1MiB or 1GiB"),
        ("limits: {connect_timeout: .inf}", "line 1", "seconds from"),
        ("limits: {connect_timeout: .nan}", "line 1", "seconds from"),
        ("limits: {connect_timeout: 0}", "line 1", "seconds from"),
        ("limits: {connect_timeout: [1]}", "line 1", "seconds from"),
        ("limits:\n  max_stale: 1\n  max_stale: 2", "line 3", "max_stale is given twice"),
        ("limits: 7", "line 1", "limits: must be a mapping of keys"),
        ("- 7", "line 1", "must be a mapping of sections"),
        ("{[a]: 1}", "line 1", "a key is not a word"),
        ("proxy: {workers: !!python/object:os.system x}", "line 1", "must be plain YAML without tags"),
        (f"proxy: {{\n{CANARY}: [", "line", "not valid YAML"),
        ("a: 1\n---\nb: 2", "line", "not valid YAML"),
        ("proxy: *nowhere", "line 1", "not valid YAML"),
    ],
)
def test_what_stops_the_start(tmp_path, text, line, says):
    """Each fault names the key, its line and what is allowed, and never shows the value."""
    faults = refuse(tmp_path, text)
    assert faults[0].startswith(line)
    assert says in faults[0]


def test_all_faults_at_once(tmp_path):
    """One start shows every fault, those of the environment too."""
    faults = refuse(
        tmp_path, "proxy: {workers: x}\nlimits: {nope: 1}", {"EGRET_ADMIN__LISTEN": CANARY, "EGRET_A__B": "1"}
    )
    assert len(faults) == 4
    assert "environment variable EGRET_A__B: unknown section a; allowed: store, admin" in faults[1]
    assert "environment variable EGRET_ADMIN__LISTEN: admin.listen: must be HOST:PORT" in faults[2]


def test_a_file_that_cannot_be_read(tmp_path):
    """A missing file, a folder and a file that is not text are named, not traced."""
    (tmp_path / "latin.yaml").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing.yaml", tmp_path, tmp_path / "latin.yaml"):
        with pytest.raises(SettingsError, match=str(path)):
            load(path, {})


def test_a_store_password_is_not_shown():
    """The database URL stays out of `repr`, which logs and tracebacks use."""
    settings = load(None, {"EGRET_STORE__URL": f"postgresql+psycopg://egret:{CANARY}@db/egret"})
    assert CANARY in settings.store.url
    assert CANARY not in repr(settings)


def test_a_webhooks_token_is_not_shown():
    """The same of a URL that rows are posted to; in clear it may be this machine's."""
    urls = f"https://ops.example.com/{CANARY}?a=b,http://127.0.0.1:9/x"
    settings = load(None, {"EGRET_AUDIT__WEBHOOKS": urls, "EGRET_AUDIT__WEBHOOK_ACTIONS": "use:refuse,keys"})
    assert (",".join(settings.audit.webhooks), settings.audit.webhook_actions) == (urls, ("use:refuse", "keys"))
    assert CANARY not in repr(settings)


def test_where_the_database_is(tmp_path):
    """`sqlite` is a file in the data folder; any other URL is taken as it is."""
    assert load(None, {}).store.at(tmp_path) == f"sqlite:///{tmp_path}/egret.db"
    url = "postgresql+psycopg://egret@db/egret"
    assert load(None, {"EGRET_STORE__URL": url}).store.at(tmp_path) == url
