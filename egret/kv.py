"""Variables and secrets under keys with slashes, from code: `egret kv` for Python.

    from egret import kv

    kv.put("db/host", "10.0.0.1")
    kv.put("db/password", value, secure=True, hosts=["db.example.com"])
    kv.get("db/host", environment="prod")             the value for prod, else the one for all environments
    kv.get("db/password", secure=True)                "#{SECRETS.DB__PASSWORD}": a secret is write-only
    kv.put("limits", {"batch": 32}); kv.get("limits") {"batch": 32}
    kv.ls("db"); kv.rm("db/host")
    kv.set_env("db/password", "PGPASSWORD")           the placeholder, in the environment of this process
    kv.Secrets().get("db/password")                   the same verbs, `secure` without saying so

Inside a session (`egret run`) `get` and `ls` ask the session, without a key: a flag that somebody changes is another
value within a second. `put` and `rm` take an API key, as all does outside: EGRET_URL and EGRET_API_KEY, or `egret
login`. `dataset` is an id or a name; without it, `project` or `organisation` the folder's default (`egret use`) is
meant, else what all of the project has. Keys become names as `egret.keynames` says.
"""

import functools
import json
import os
import re
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from egret.keynames import key_of, name_of
from egret.secrets import SESSION, secrets, variables

if TYPE_CHECKING:
    from egret.client import Area, Client

__all__ = ["Secrets", "get", "ls", "put", "rm", "set_env"]

PERMISSIONS: Final = ("metadata", "use")
"""What a group may do unless more is said."""


_A_SECRET: Final = (
    "{0} is a secret, which no code is given: kv.get({0!r}, secure=True) is its placeholder, #{{SECRETS.{1}}}, "
    "and the proxy puts the value in where that is sent"
)


def put(
    key: str,
    value: object,
    *,
    secure: bool = False,
    environment: str = "",
    group: str | None = None,
    permissions: Sequence[str] = PERMISSIONS,
    dataset: str | None = None,
    project: str | None = None,
    organisation: str | None = None,
    **options: object,
) -> None:
    """Store a value; `secure`: as a secret. What is no text is stored as JSON. `options` as of `Client.put_secret`.

    With a `group` it is for this group, and for owners and admins, alone; `permissions`: metadata, write, use.
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    if group is not None:
        options["groups"] = [{"group": group, "permissions": list(permissions)}]
    if environment:
        options["environment"] = environment
    with _asking(dataset, project, organisation) as (client, where):
        client.put_secret(where, name_of(key), text, shelf=_kind(secure=secure), **options)  # type: ignore[arg-type]


def get(
    key: str,
    *,
    secure: bool = False,
    environment: str = "",
    raw: bool = False,
    dataset: str | None = None,
    project: str | None = None,
    organisation: str | None = None,
) -> Any:  # noqa: ANN401 - what JSON holds
    """Return a variable: a text, or what JSON says where it is an object or a list (not with `raw`).

    Of a secret (`secure`) its placeholder. What has no value for `environment` has the one for all. Raises `KeyError`:
    where the key is a secret's and no variable's, that says so.
    """
    name, place = name_of(key), (dataset, project, organisation)
    inside = _of_the_session(environment, *place)

    def look(*, secure: bool) -> str | None:
        if inside:
            return (secrets if secure else variables).get(name)
        return _stored(name, environment, place, secure=secure)

    text = look(secure=secure)
    if text is None:
        raise KeyError(_A_SECRET.format(key, name) if not secure and _is_there(look) else key)
    return text if raw or secure else _understood(text)


def ls(
    prefix: str = "",
    *,
    secure: bool = False,
    environment: str | None = None,
    group: str | None = None,
    dataset: str | None = None,
    project: str | None = None,
    organisation: str | None = None,
) -> list[str]:
    """Return the keys, those below a prefix if it is given; names that no key maps to are left out."""
    if _of_the_session(environment or "", dataset, project, organisation) and group is None:
        names = [*(secrets if secure else variables)]
    else:
        asked = {name: text for name, text in (("environment", environment), ("group", group)) if text}
        with _asking(dataset, project, organisation) as (client, where):
            names = [each["name"] for each in client.secrets(where, _kind(secure=secure), **asked)]
    below = prefix.strip("/")
    keys = sorted({key for name in names if (key := key_of(name)) is not None})
    return [key for key in keys if not below or key == below or key.startswith(below + "/")]


def rm(
    key: str,
    *,
    secure: bool = False,
    environment: str = "",
    group: str | None = None,
    dataset: str | None = None,
    project: str | None = None,
    organisation: str | None = None,
) -> None:
    """Remove a key, or a group's permissions on it; raises `KeyError` where there is none."""
    from egret.client import NotFound  # noqa: PLC0415

    name, kind = name_of(key), _kind(secure=secure)
    with _asking(dataset, project, organisation) as (client, where):
        try:
            if group is None:
                client.delete_secret(where, name, kind, environment=environment)
                return
            named = client.secret(where, name, kind, environment=environment)["groups"]
        except NotFound:
            raise KeyError(key) from None
        left = [each for each in named if each["group"] != group]
        client.change_secret(where, name, kind, environment=environment, groups=left)


def set_env(
    key: str, env_var_name: str | None = None, *, overwrite: bool = False, secure: bool = True, **options: str
) -> None:
    """Put what `get` returns into the environment of this process: of a secret its placeholder. `options` as there.

    The variable's name is the key's, in capitals and with `_` for what is no letter or digit, unless one is given. One
    that is set already stays, but with `overwrite`.
    """
    name = env_var_name or re.sub(r"[^A-Za-z0-9]", "_", key).upper()
    if overwrite or name not in _environ():
        _environ()[name] = str(get(key, secure=secure, raw=True, **options))


class Secrets:
    """The verbs of this module for secrets alone, as `dt.Secrets` of Datatailr has them."""

    put = staticmethod(functools.partial(put, secure=True))
    get = staticmethod(functools.partial(get, secure=True))
    ls = staticmethod(functools.partial(ls, secure=True))
    rm = staticmethod(functools.partial(rm, secure=True))
    set_env = staticmethod(set_env)


def _is_there(look: Callable[..., str | None]) -> bool:
    """Whether there is a secret of that name, as far as this key may know."""
    from egret.client import Forbidden  # noqa: PLC0415

    try:
        return look(secure=True) is not None
    except Forbidden:
        return False


def _stored(name: str, environment: str, place: tuple[str | None, ...], *, secure: bool) -> str | None:
    from egret.client import NotFound  # noqa: PLC0415

    with _asking(*place) as (client, where):
        for wanted in dict.fromkeys((environment, "")):
            try:
                found = client.secret(where, name, _kind(secure=secure), environment=wanted)
            except NotFound:
                continue
            text: str | None = found["placeholder" if secure else "value"]
            return text
    return None


def _kind(*, secure: bool) -> str:
    return "secrets" if secure else "variables"


def _understood(text: str) -> Any:  # noqa: ANN401 - what JSON holds
    """Return a text, or what it says: of JSON objects and lists alone, so that no number or flag is another type."""
    if not text.lstrip().startswith(("{", "[")):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def _environ() -> MutableMapping[str, str]:
    return os.environ  # noqa: TID251 - the environment of the program that imports this is the subject here


def _of_the_session(*told: str | None) -> bool:
    environ = _environ()
    return not any(told) and SESSION in environ and not environ.get("EGRET_API_KEY")


@contextmanager
def _asking(dataset: str | None, project: str | None, organisation: str | None) -> "Iterator[tuple[Client, Area]]":
    """Give a client, and the place that is meant."""
    from egret import folder  # noqa: PLC0415 - reading inside a session needs none of it
    from egret.client import Area, Client  # noqa: PLC0415
    from egret.credentials import CredentialsError, find  # noqa: PLC0415

    environ = _environ()
    try:
        known = find(environ)
    except CredentialsError as error:
        inside = "a session reads alone; " if SESSION in environ else ""
        raise PermissionError(f"{inside}{error}") from None
    if dataset is project is organisation is None and (default := folder.find(Path.cwd(), environ)) is not None:
        dataset, project = default.dataset, default.project
    with Client(known.url, known.key) as client:
        in_ = project or "default"
        chosen = None if dataset is None else client.find_dataset(dataset, in_)["id"]
        yield client, Area(chosen, in_, organisation)
