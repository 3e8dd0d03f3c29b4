"""What each kind wants of a value and of its parameters, in patterns and words."""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from store.authorities import BadAuthority, parse_authority
from store.kinds import (
    AWS,
    AZURE_CLIENT,
    CLIENT_CERTIFICATE,
    GCP_SERVICE_ACCOUNT,
    GITHUB_APP,
    HMAC,
    OAUTH2_CLIENT,
    OAUTH2_REFRESH,
    STATIC,
)
from store.model import Destination, own
from store.templates import ALGORITHMS, CLOCKS, ENCODINGS, KNOWN, SECRET_ENCODINGS, check, fault, parts, place, spelling

_MOST: Final = 64
_URL: Final = re.compile(r"https://([^/?#@\s\\]{1,255})(/[!\"$-~]{0,1536})?", re.ASCII)
_TEXT: Final = re.compile(r"[!-~]+(?: [!-~]+)*", re.ASCII)

type _Said = str | list[str]
type _Member = tuple[re.Pattern[str], str]


CLOUDS: Final = {
    "public": "https://login.microsoftonline.com/",
    "china": "https://login.partner.microsoftonline.cn/",
    "government": "https://login.microsoftonline.us/",
}
"""Where Microsoft's clouds give tokens."""
GOOGLE: Final = "https://oauth2.googleapis.com/token"
GITHUB: Final = "https://api.github.com/"
_OF_KEY_FILES: Final = (
    "project_id", "private_key_id", "client_id", "auth_uri", "auth_provider_x509_cert_url", "client_x509_cert_url",
)  # fmt: skip
"""What else a key file of Google's has, and nobody needs."""


@dataclass(frozen=True, slots=True)
class Form:
    """What a kind wants. A member of the value: its pattern, and that in words. `secret`: members that are.

    `parameters`: what reads each; it is told where it stands.
    """

    members: Mapping[str, _Member] = field(default_factory=dict)
    spare: frozenset[str] = frozenset()
    """Members that there need not be."""
    secret: tuple[str, ...] = ()
    parameters: Mapping[str, Callable[[object, str], _Said]] = field(default_factory=dict)
    needed: frozenset[str] = frozenset()
    """Parameters that there must be."""
    whole: Callable[[Mapping[str, object], str], None] | None = None
    """What else is checked of the parameters, when each is read."""


def _list(pattern: str, such_as: str) -> Callable[[object, str], list[str]]:
    form = re.compile(pattern, re.ASCII)

    def read(said: object, pointer: str) -> list[str]:
        fits = isinstance(said, list | tuple) and 1 <= len(said) <= _MOST
        words = [word for word in said if isinstance(word, str) and form.fullmatch(word)] if fits else []  # type: ignore[attr-defined]
        if not words or len(words) != len(said):  # type: ignore[arg-type]
            hint = f"Write a list of words such as {such_as}, {_MOST} at most."
            raise fault(pointer, "parameter_invalid", hint)
        return sorted(set(words))

    return read


_words: Final = _list("[a-z0-9][a-z0-9-]{0,63}", "us-east-1 or s3")


def _text(said: object, pointer: str) -> str:
    if not isinstance(said, str) or len(said) > 1024 or _TEXT.fullmatch(said) is None:
        raise fault(pointer, "parameter_invalid", "Write a text of 1 to 1,024 ASCII characters, blanks between words.")
    return said


def _url(said: object, pointer: str) -> str:
    if not isinstance(said, str) or (where := located(said)) is None or own(where[0].host):
        hint = "Write an https URL without user, password and fragment, such as https://auth.example.com/oauth/token."
        raise fault(pointer, "parameter_invalid", hint)
    return said


def located(url: str) -> tuple[Destination, str] | None:
    """Return where a URL is, and its path and query; None for one that no parameter may be."""
    found = _URL.fullmatch(url)
    try:
        return None if found is None else (parse_authority(found[1], secure=True), found[2] or "/")
    except BadAuthority:
        return None


def _one(hint: str, pattern: str) -> Callable[[object, str], str]:
    form = re.compile(pattern, re.ASCII)

    def read(said: object, pointer: str) -> str:
        if not isinstance(said, str) or form.fullmatch(said) is None:
            raise fault(pointer, "parameter_invalid", f"Write {hint}.")
        return said

    return read


_way: Final = _one("basic (the client's id and secret in the Authorization header) or post (in the form)", "basic|post")
_reuse: Final = _one(
    "refused (a refresh token that was used is never sent again) or accepted (the provider takes it)",
    "refused|accepted",
)
# RFC 6749 A.1 and A.2; a shorter secret could not be searched for in answers.
_CLIENT_ID: Final = re.compile(r"[ -~]{1,1024}", re.ASCII), "1 to 1,024 printable ASCII characters"


def _among(names: Iterable[str]) -> Callable[[object, str], str]:
    listed = [*names]
    return _one(f"{', '.join(listed[:-1])} or {listed[-1]}", "|".join(listed))


_SECRET_TEXT: Final = re.compile(r"[ -~]{8,4096}", re.ASCII), "8 to 4,096 printable ASCII characters"
_PEM: Final = (
    re.compile(
        r"-----BEGIN (?:RSA )?PRIVATE KEY-----\s[A-Za-z0-9+/=\s]{64,16384}-----END (?:RSA )?PRIVATE KEY-----\s*"
    ),
    "an RSA private key of 2,048 bits or more in PEM, without a passphrase, its lines ended by \\n in JSON",
)
_PLAIN: Final = re.compile(r"[!-~]{0,1024}", re.ASCII), "up to 1,024 ASCII characters without blanks"
FORMS: Final = {
    STATIC: Form(),
    AWS: Form(
        # IAM's API reference: AccessKeyId is 16 to 128 of [\w]; a secret access key has 40 characters of base64.
        {
            "access_key_id": (re.compile(r"[A-Za-z0-9_]{16,128}", re.ASCII), "16 to 128 letters, digits and _"),
            "secret_access_key": (re.compile(r"[A-Za-z0-9/+=]{40}", re.ASCII), "40 letters, digits, /, + and ="),
            "session_token": (re.compile(r"[A-Za-z0-9/+=_-]{16,16384}", re.ASCII), "16 to 16,384 characters of base64"),
        },
        frozenset({"session_token"}),
        ("secret_access_key", "session_token"),
        {"services": _words, "regions": _words},
    ),
    HMAC: Form(
        {
            "key_id": (re.compile(r"[!-~]{1,512}", re.ASCII), "1 to 512 ASCII characters without blanks"),
            "secret": _SECRET_TEXT,
        },
        frozenset({"key_id"}),
        # Of some APIs the id alone lets read: it is none that answers may show.
        ("secret", "key_id"),
        {
            "template": _among(KNOWN),
            "payload": parts,
            "format": spelling,
            "signature_in": place,
            "timestamp_in": place,
            "key_id_in": place,
            "algorithm": _among(ALGORITHMS),
            "encoding": _among(ENCODINGS),
            "secret_encoding": _among(SECRET_ENCODINGS),
            "timestamp": _among(CLOCKS),
        },
        whole=check,
    ),
    CLIENT_CERTIFICATE: Form(
        {
            "certificate": (re.compile(r"[ -~\s]{64,65536}", re.ASCII), "a certificate in PEM, then its chain"),
            "private_key": (re.compile(r"[ -~\s]{64,65536}", re.ASCII), "its private key in PEM"),
        },
        secret=("private_key",),
    ),
    OAUTH2_CLIENT: Form(
        {
            "client_id": _CLIENT_ID,
            "client_secret": _SECRET_TEXT,
        },
        secret=("client_secret",),
        parameters={"token_url": _url, "scope": _text, "audience": _text, "client_auth": _way},
        needed=frozenset({"token_url"}),
    ),
    OAUTH2_REFRESH: Form(
        {
            "client_id": _CLIENT_ID,
            "client_secret": _SECRET_TEXT,
            # RFC 6749 A.17. With the largest of all parts a line of `store.leases` is still one that a spool takes.
            "refresh_token": (re.compile(r"[ -~]{8,8192}", re.ASCII), "8 to 8,192 printable ASCII characters"),
        },
        frozenset({"client_secret"}),
        ("client_secret", "refresh_token"),
        {"token_url": _url, "scope": _text, "client_auth": _way, "reuse": _reuse},
        frozenset({"token_url"}),
    ),
    AZURE_CLIENT: Form(
        {
            "tenant_id": (re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,254}", re.ASCII), "a tenant's id or domain"),
            "client_id": (re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII), "an application's id: letters, digits and -"),
            "client_secret": _SECRET_TEXT,
        },
        secret=("client_secret",),
        parameters={"scope": _text, "cloud": _one("public, china or government", "|".join(CLOUDS))},
        needed=frozenset({"scope"}),
    ),
    GITHUB_APP: Form(
        {
            "app_id": (re.compile(r"[A-Za-z0-9.]{1,64}", re.ASCII), "the app's id or client id"),
            "private_key": _PEM,
        },
        secret=("private_key",),
        parameters={
            "installation_id": _one("the number of the installation", "[0-9]{1,20}"),
            "repositories": _list("[A-Za-z0-9._-]{1,100}", "my-repository"),
            "permissions": _list("[a-z_]{1,64}:(?:read|write|admin)", "contents:read"),
            "api_url": _url,
        },
        needed=frozenset({"installation_id"}),
    ),
    GCP_SERVICE_ACCOUNT: Form(
        {
            "type": (re.compile("service_account"), "the text service_account"),
            "client_email": (re.compile(r"[!-~]{3,256}", re.ASCII), "the account's address"),
            "private_key": _PEM,
            "token_uri": (
                re.compile(
                    r"https://(?:oauth2\.googleapis\.com/token|accounts\.google\.com/o/oauth2/token|"
                    r"www\.googleapis\.com/oauth2/v4/token)"
                ),
                "one of Google's token endpoints",
            ),
            "universe_domain": (re.compile(r"googleapis\.com"), "googleapis.com"),
            **dict.fromkeys(_OF_KEY_FILES, _PLAIN),
        },
        frozenset({"token_uri", "universe_domain", *_OF_KEY_FILES}),
        ("private_key",),
        {"scope": _text, "audience": _text},
    ),
}
