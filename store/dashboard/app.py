"""Adds the dashboard to the application."""

from aiohttp import web

from store.api.state import State
from store.dashboard import (
    forms,
    routes_audit,
    routes_consumers,
    routes_datasets,
    routes_keys,
    routes_login,
    routes_members,
    routes_scopes,
)
from store.dashboard.logins import Logins
from store.dashboard.visit import Page, handler

_SCOPES = ("/shared", "/projects/{project}", "/projects/{project}/datasets/{dataset}")
_KIND = "{kind:secrets|variables}"
_VERB = "{verb:disable|enable|delete}"


def mount(app: web.Application, state: State) -> None:
    """Add pages and the actions of their forms."""
    logins = Logins(secure=state.urls.admin.startswith("https:"))
    routes_login.add(app, state, logins)
    for method, path, show in _routes():
        app.router.add_route(method, f"/dashboard{path}", handler(state, logins, show))
    for path, show, action in _uploads():
        app.router.add_route("POST", f"/dashboard{path}", handler(state, logins, show, upload=action))


def _routes() -> list[tuple[str, str, Page]]:
    dataset = _SCOPES[-1]
    found: list[tuple[str, str, Page]] = [
        ("GET", "/", routes_scopes.home),
        ("POST", f"{dataset}/sessions", forms.open_session),
        ("POST", f"{dataset}/sessions/{{session}}/revoke", forms.revoke_session),
        ("GET", "/keys/", routes_keys.keys),
        ("POST", "/keys/", routes_keys.create_key),
        ("POST", "/keys/{key}/revoke", routes_keys.revoke_key),
        ("POST", "/keys/{key}/compromised", routes_keys.compromised),
        ("POST", "/keys/{key}/permission", routes_keys.change_key),
        ("POST", "/keys/{key}/rotate", routes_keys.rotate_key),
        ("POST", "/keys/{key}/sessions/end", routes_keys.end_sessions),
        ("GET", "/audit/", routes_audit.audit),
        ("POST", "/audit/gaps/{gap}/acknowledge", routes_audit.acknowledge),
        ("GET", "/members/", routes_members.members),
        ("POST", "/members/", routes_members.add_member),
        ("POST", "/members/{member}/role", routes_members.set_role),
        ("POST", "/members/{member}/remove", routes_members.remove_member),
        ("POST", "/groups/", routes_members.create_group),
        ("POST", "/groups/{group}/members", routes_members.join_group),
        ("POST", "/groups/{group}/members/{member}/leave", routes_members.leave_group),
        ("POST", "/groups/{group}/delete", routes_members.delete_group),
        ("POST", "/projects/{project}/consumers", routes_consumers.declare),
        ("POST", "/projects/{project}/consumers/{consumer}/delete", routes_consumers.delete),
        ("POST", "/logout", routes_login.logout),
    ]
    for scope in _SCOPES:
        found += [
            ("GET", f"{scope}/", routes_scopes.scope_page),
            ("POST", f"{scope}/default-hosts", routes_datasets.default_hosts),
            ("POST", f"{scope}/{_KIND}", forms.put_entry),
            ("POST", f"{scope}/{_KIND}/{{name}}/{_VERB}", forms.change_entry),
            ("POST", f"{scope}/{_KIND}/{{name}}/groups", forms.share_entry),
            ("POST", f"{scope}/{_KIND}/{{name}}/about", forms.describe_entry),
        ]
    # After the entries': the last part would otherwise be taken for a verb on the dataset.
    return [*found, ("POST", f"{dataset}/{_VERB}", forms.change_dataset)]


def _uploads() -> list[tuple[str, Page, str]]:
    """Return the forms with files, and what one must be allowed to do to send them."""
    return [
        ("/datasets", routes_datasets.create, "datasets:write"),
        (f"{_SCOPES[-1]}/upload", routes_datasets.upload, "datasets:write"),
        (f"{_SCOPES[-1]}/file", routes_datasets.send_file, "datasets:write"),
        *((f"{scope}/import", routes_datasets.import_secrets, "secrets:write") for scope in _SCOPES),
    ]
