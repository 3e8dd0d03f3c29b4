"""The sections of the configuration: each key with its kind, its default, and the sentence that users read about it."""

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Final

from egret.kinds import (
    ACTIONS,
    ADDRESS,
    CLIENT_ID,
    FILE,
    FLAG,
    FOLDER,
    FOLDERS,
    GROUP,
    HOST_NAMES,
    NETWORKS,
    PEM_FILES,
    PORTS,
    SCOPES,
    TEAMS,
    WORDS,
    Address,
    Network,
    choice,
    choices,
    seconds,
    whole,
)
from egret.limits import RATE, Limits
from egret.options import option
from egret.url_kinds import COLLECTOR, ISSUER, PUBLIC_URL, STORE_URL, SYSLOG, WEBHOOKS

TOLD: Final = (
    "use:refuse", "use:unasked", "use:budget", "use:end", "keys:write", "keys:report", "members:write",
    "store:mend", "store:gap", "store:restore", "store:needs_login",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Store:
    """Where secrets are kept."""

    url: str = field(
        default="sqlite",
        repr=False,  # a PostgreSQL URL holds a password
        metadata={
            "kind": STORE_URL,
            "doc": "The database: sqlite (a file in the data folder) or a postgresql+psycopg:// URL.",
        },
    )

    key_group: str | None = option(
        GROUP,
        None,
        "A group that may read key files by design (0640, owned by root or the reader): docs/operations.md.",
    )

    anchor: Path | None = option(
        FOLDER,
        None,
        "A folder on another disk or machine for a second mark of the store: docs/store.md.",
    )

    def at(self, data: Path) -> str:
        """Return the database's URL for SQLAlchemy, given the data folder."""
        return f"sqlite:///{data.resolve() / 'egret.db'}" if self.url == "sqlite" else self.url


@dataclass(frozen=True, slots=True)
class Admin:
    """The admin API and dashboard."""

    listen: Address = option(ADDRESS, Address("127.0.0.1", 8700), "Where the admin API and the dashboard listen.")
    public_url: str | None = option(PUBLIC_URL, None, "The admin API's URL as clients reach it; null means `listen`.")
    host_names: tuple[str, ...] = option(
        HOST_NAMES,
        (),
        "Further names by which it may be asked, besides addresses, names under localhost and that of "
        "`public_url`; by another it answers nothing (DNS rebinding).",
    )
    key_rate: int = option(RATE, 60_000, "Requests per minute that one API key may make; 0 means no limit.")
    failure_rate: int = option(
        RATE, 600, "Failed authentications per minute that one client address may make; 0 means no limit."
    )


@dataclass(frozen=True, slots=True)
class Oidc:
    """Signing in to the dashboard at an identity provider (OpenID Connect); see docs/dashboard.md."""

    issuer: str | None = option(
        ISSUER, None, "The provider, as its tokens name it; null means by API key alone. Needs `admin.public_url`."
    )
    client_id: str = option(CLIENT_ID, "egret", "What the provider calls this installation.")
    client_secret_file: Path | None = option(
        FILE, None, "A file with the client's secret, of mode 0600 or less; null for a public client."
    )
    scopes: tuple[str, ...] = option(SCOPES, ("openid", "email"), "What is asked of the provider.")
    trust: tuple[Path, ...] = option(PEM_FILES, (), "PEM files with roots that it may use besides the public ones.")
    groups_claim: str = option(CLIENT_ID, "groups", "The claim in which it lists groups.")
    teams: tuple[str, ...] = option(
        TEAMS, (), "Who has no member by email signs in as the member of the first of these groups that one is in."
    )
    key_life: float = option(
        seconds(600, 31_622_400),
        43_200.0,
        "Seconds that what a sign-in opens and makes may live; the login itself ends after twelve hours.",
    )


@dataclass(frozen=True, slots=True)
class Proxy:
    """The forward proxy."""

    listen: Address = option(ADDRESS, Address("127.0.0.1", 8080), "Where the forward proxy listens.")
    public_url: str | None = option(PUBLIC_URL, None, "The proxy's URL as clients reach it; null means `listen`.")
    workers: int = option(whole(1, 64), 1, "Processes that share the port.")
    engine: str = option(
        choice("mitmproxy", "express"),
        "mitmproxy",
        "What carries the forward proxy: mitmproxy, with HTTP/1, HTTP/2, gRPC and WebSocket, or express, with HTTP/1.1 "
        "and WebSocket only, several times faster.",
    )
    status: Address = option(
        ADDRESS, Address("127.0.0.1", 8082), "Where health and metrics of proxy and gateway are, without a key."
    )
    status_series: int = option(
        whole(0, 100_000),
        0,
        "Metrics by dataset and by secret that a process shows at most; the rest counts as one. 0 shows none.",
    )
    prices: Path | None = option(
        FILE, None, "What models cost, in place of the file that Egret brings; null means that one: docs/budgets.md."
    )


@dataclass(frozen=True, slots=True)
class Gateway:
    """The gateway for browsers."""

    listen: Address = option(ADDRESS, Address("127.0.0.1", 8081), "Where the gateway listens.")
    public_url: str | None = option(PUBLIC_URL, None, "The gateway's URL as browsers reach it; null means `listen`.")
    host_names: tuple[str, ...] = option(
        HOST_NAMES, (), "Further names by which it may be asked, as those of the admin API."
    )


@dataclass(frozen=True, slots=True)
class Egress:
    """What may be reached, and what may be sent there."""

    allow_private: tuple[Network, ...] = option(
        NETWORKS, (), "Networks exempt from the address check, on any port: on-premise APIs, tests."
    )
    trust: tuple[Path, ...] = option(
        PEM_FILES, (), "PEM files with roots that upstreams may use besides the public ones."
    )
    ports: tuple[int, ...] = option(PORTS, (80, 443), "Upstream ports that may be reached.")
    unbound_secrets: str = option(
        choice("deny", "allow"),
        "deny",
        "A secret without hosts: deny injects it nowhere, allow anywhere (for trusted client code only).",
    )
    scrub: str = option(
        choice("reachable", "all"),
        "reachable",
        "Whose answers are searched: of hosts that a value can reach, or all of them (for trusted code only).",
    )
    passthrough: tuple[str, ...] = option(
        HOST_NAMES,
        (),
        "Hosts whose tunnels are not looked into (clients that pin certificates); no value may reach them.",
    )
    strict_bodies: bool = option(
        FLAG, False, "Refuse a request whose body has a placeholder that may not be injected, instead of carrying it."
    )


@dataclass(frozen=True, slots=True)
class Opening:
    """How a data plane unwraps its opening key, where that is wrapped; see docs/keys.md."""

    passphrase_file: Path | None = option(
        FILE, None, "A file with the passphrase, of mode 0600 or less; one line break at its end does not count."
    )
    vault_token_file: Path | None = option(FILE, None, "A file with the token for Vault's transit engine, read anew.")


@dataclass(frozen=True, slots=True)
class Audit:
    """Signed checkpoints of the audit log, in `audit/checkpoints.jsonl` of the data folder; see docs/audit.md."""

    checkpoint_every: float = option(seconds(1, 86_400), 60.0, "Seconds between two checkpoints, if the log has grown.")
    checkpoint_stdout: bool = option(
        FLAG, False, "Write them to stdout as well, for a log collector: copies elsewhere are what they are for."
    )
    webhooks: tuple[str, ...] = field(
        default=(),
        repr=False,  # a URL may hold a token
        metadata={
            "kind": WEBHOOKS,
            "doc": "URLs to which rows of the log are posted, signed: docs/audit.md.",
        },
    )
    webhook_key: Path | None = option(
        FILE, None, "The file with the key of their signatures, in base64: openssl rand -base64 32."
    )
    webhook_actions: tuple[str, ...] = option(
        ACTIONS, TOLD, "Which rows: actions, or their areas; by default refusals, unasked hits, alarms and keys."
    )

    syslog: str | None = option(
        SYSLOG, None, "Where rows of the log are told to syslog (RFC 5424); null means nowhere: docs/audit.md."
    )
    syslog_actions: tuple[str, ...] = option(ACTIONS, (), "Which rows: actions, or their areas; none means all.")
    syslog_trust: tuple[Path, ...] = option(
        PEM_FILES, (), "PEM files with roots that its certificate may use besides the system's."
    )


@dataclass(frozen=True, slots=True)
class Log:
    """What the processes write to stderr; see docs/observability.md."""

    format: str = option(choice("text", "json"), "text", "text for people, or json: an object per line.")
    level: str = option(choice("info", "warning", "error"), "info", "The least that is written.")
    requests: bool = option(
        FLAG, False, "One line per request of proxy and gateway, with its request_id, whatever the level."
    )


@dataclass(frozen=True, slots=True)
class Otlp:
    """Spans, numbers and lines of requests to an OpenTelemetry collector; see docs/observability.md."""

    endpoint: str | None = option(
        COLLECTOR, None, "The collector (OTLP over HTTP, protobuf), without /v1/traces; null means that none is told."
    )
    headers_file: Path | None = option(
        FILE, None, "A file with fields for it, `Name: value` a line, of mode 0600 or less; null for none."
    )
    trust: Path | None = option(
        FILE, None, "A PEM file with the roots that its certificate is verified by; null means the public ones."
    )
    signals: tuple[str, ...] = option(
        choices("traces", "metrics", "logs"), ("traces", "metrics"), "What it is told; logs are the lines of requests."
    )
    every: float = option(seconds(1, 3600), 30.0, "Seconds between two times that it is told the numbers.")
    service: str = option(CLIENT_ID, "egret", "What the collector calls this installation (service.name).")


@dataclass(frozen=True, slots=True)
class Run:
    """The sandbox of `egret run`; its options add to these. See docs/sandbox.md."""

    sandbox: str = option(
        choice("auto", "require", "landlock", "off"),
        "auto",
        "auto goes on without a sandbox only where there is nothing to protect; require never does; landlock is for "
        "machines without user namespaces.",
    )
    share: tuple[Path, ...] = option(FOLDERS, (), "Folders that the command sees, read-only.")
    share_rw: tuple[Path, ...] = option(FOLDERS, (), "Folders that the command sees, writable.")
    keep_env: tuple[str, ...] = option(WORDS, (), "Variables that it keeps although they look like credentials.")
    device: tuple[str, ...] = option(choices("nvidia", "kvm", "dri"), (), "Devices that it may use.")
    publish: tuple[int, ...] = option(PORTS, (), "Ports inside that are reachable on 127.0.0.1 outside.")
    allow: tuple[str, ...] = option(
        choices("userns"), (), "userns: programs that make sandboxes themselves (Chromium)."
    )


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, by section."""

    store: Store = Store()
    admin: Admin = Admin()
    oidc: Oidc = Oidc()
    proxy: Proxy = Proxy()
    gateway: Gateway = Gateway()
    egress: Egress = Egress()
    opening: Opening = Opening()
    audit: Audit = Audit()
    log: Log = Log()
    otlp: Otlp = Otlp()
    limits: Limits = Limits()
    run: Run = Run()


def sections() -> dict[str, type]:
    """Return the section classes by name, in the order in which the documentation shows them."""
    return {section.name: type(section.default) for section in fields(Settings)}
