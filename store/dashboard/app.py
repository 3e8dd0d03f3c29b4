"""Adds the dashboard to the application."""

from typing import TYPE_CHECKING

from aiohttp import web

from store.api.state import State
from store.dashboard import (
    routes_ask,
    routes_audit,
    routes_budgets,
    routes_consumers,
    routes_datasets,
    routes_entries,
    routes_keys,
    routes_leak,
    routes_login,
    routes_members,
    routes_scopes,
    routes_sessions,
    routes_start,
    routes_trial,
)
from store.dashboard.confirming import AGAIN, START, confirmed
from store.dashboard.logins import Logins
from store.dashboard.visit import Page, Visit, handler
from store.errors import NotFound

if TYPE_CHECKING:
    from store.dashboard.provider import Client

_SCOPES = ("/shared", "/projects/{project}", "/projects/{project}/datasets/{dataset}")
_KIND = "{kind:secrets|variables}"
_VERB = "{verb:disable|enable|delete}"


def mount(app: web.Application, state: State, client: "Client | None" = None) -> None:
    """Add pages and the actions of their forms; `client` is what we are to an identity provider, if there is one."""
    logins = Logins(secure=state.urls.admin.startswith("https:"))
    routes_login.add(app, state, logins, "" if client is None else START)
    if client is not None:
        from store.dashboard.provider import Provider  # noqa: PLC0415  # a client of HTTP, which few need
        from store.dashboard.routes_sign_in import SignIn  # noqa: PLC0415

        sign_in = SignIn(state, logins, Provider(client))
        sign_in.add(app)
        app.router.add_get(AGAIN, handler(state, logins, sign_in.again))
    for path, show, action in _uploads():
        app.router.add_route("POST", f"/dashboard{path}", handler(state, logins, show, upload=action))
    for method, path, show in _routes():
        app.router.add_route(method, f"/dashboard{path}", handler(state, logins, show))


def _routes() -> list[tuple[str, str, Page]]:
    dataset = _SCOPES[-1]
    found: list[tuple[str, str, Page]] = [
        ("GET", "/", routes_scopes.home),
        ("GET", f"{dataset}/sessions/", routes_sessions.sessions_tab),
        ("GET", f"{dataset}/ask/", routes_ask.ask_page),
        ("POST", f"{dataset}/{{kind:secrets}}/{{name}}/test", routes_trial.try_entry),
        ("POST", f"{dataset}/sessions", routes_sessions.open_session),
        ("GET", f"{dataset}/sessions/{{session}}/", routes_sessions.session_page),
        ("GET", f"{dataset}/budgets/", routes_budgets.budgets_tab),
        ("POST", f"{dataset}/budgets", routes_budgets.set_budget),
        ("POST", f"{dataset}/budgets/remove", routes_budgets.remove_budget),
        ("GET", "/start/", routes_start.start_page),
        ("POST", "/start", routes_start.start),
        ("GET", f"{dataset}/sessions/{{session}}/watch/", routes_start.watch),
        ("POST", f"{dataset}/sessions/end", routes_leak.end_sessions),
        ("POST", f"{dataset}/sessions/{{session}}/revoke", routes_sessions.revoke_session),
        ("GET", "/keys/", routes_keys.keys),
        ("POST", "/keys/", confirmed(routes_keys.create_key)),
        ("GET", "/keys/{key}/", routes_keys.key_page),
        ("GET", "/keys/{key}/leak/", routes_leak.key_leak),
        ("POST", "/keys/{key}/revoke", routes_keys.revoke_key),
        ("POST", "/keys/{key}/compromised", routes_keys.compromised),
        ("POST", "/keys/{key}/permission", confirmed(routes_keys.change_key)),
        ("POST", "/keys/{key}/rotate", confirmed(routes_keys.rotate_key)),
        ("POST", "/keys/{key}/sessions/end", routes_keys.end_sessions),
        ("GET", "/audit/", routes_audit.audit),
        ("GET", "/audit/{kind:csv|jsonl}", routes_audit.export),
        ("POST", "/audit/verify", routes_audit.verify),
        ("POST", "/audit/gaps/{gap}/acknowledge", routes_audit.acknowledge),
        ("GET", "/members/", routes_members.members),
        ("POST", "/members/", confirmed(routes_members.add_member)),
        ("POST", "/members/{member}/role", confirmed(routes_members.set_role, routes_members.gives_role)),
        ("POST", "/members/{member}/remove", routes_members.remove_member),
        ("POST", "/groups/", routes_members.create_group),
        ("POST", "/groups/{group}/members", confirmed(routes_members.join_group)),
        ("POST", "/groups/{group}/members/{member}/leave", routes_members.leave_group),
        ("POST", "/groups/{group}/delete", routes_members.delete_group),
        ("GET", "/projects/{project}/consumers/", routes_scopes.consumers_tab),
        ("POST", "/projects/{project}/consumers", routes_consumers.declare),
        ("POST", "/projects/{project}/consumers/{consumer}/delete", routes_consumers.delete),
        ("POST", "/logout", routes_login.logout),
        ("POST", "/logout/everywhere", routes_login.logout_everywhere),
    ]
    for scope in _SCOPES:
        entry = f"{scope}/{_KIND}/{{name}}"
        found += [
            ("GET", f"{scope}/", routes_scopes.secrets_tab),
            ("GET", f"{scope}/add/", routes_scopes.add_page),
            ("GET", f"{scope}/variables/", routes_scopes.variables_tab),
            ("GET", f"{scope}/settings/", routes_scopes.settings_tab),
            ("POST", f"{scope}/default-hosts", routes_datasets.default_hosts),
            ("POST", f"{scope}/{_KIND}", routes_entries.put_entry),
            ("GET", f"{entry}/", routes_entries.entry_page),
            ("GET", f"{scope}/secrets/{{name}}/leak/", routes_leak.secret_leak),
            ("POST", f"{entry}/{_VERB}", routes_entries.change_entry),
            ("POST", f"{entry}/value", routes_entries.new_value),
            ("POST", f"{entry}/activate", routes_entries.activate),
            ("POST", f"{entry}/destroy", routes_entries.destroy),
            ("POST", f"{entry}/groups", routes_entries.share_entry),
            ("POST", f"{entry}/about", routes_entries.describe_entry),
        ]
    # After the entries': the last part would otherwise be taken for a verb on the dataset.
    return [*found, ("POST", f"{dataset}/{_VERB}", routes_datasets.change_dataset), ("*", "/{rest:.*}", nowhere)]


async def nowhere(_: Visit) -> web.Response:
    """Say on a page that there is none."""
    raise NotFound("There is no page here.")


def _uploads() -> list[tuple[str, Page, str]]:
    """Return the forms with files, and what one must be allowed to do to send them."""
    return [
        ("/datasets", routes_datasets.create, "datasets:write"),
        (f"{_SCOPES[-1]}/upload", routes_datasets.upload, "datasets:write"),
        (f"{_SCOPES[-1]}/file", routes_datasets.send_file, "datasets:write"),
        *((f"{scope}/import", routes_datasets.import_secrets, "secrets:write") for scope in _SCOPES),
    ]
