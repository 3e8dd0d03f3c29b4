"""Audit, sealing key, CA, health, metrics, the description of the API."""

from store.api.audit_models import AuditList, AuditOut, AuditQuery, GapIn, GapList, GapOut, VerdictOut
from store.api.call import Call
from store.api.fields import Out
from store.api.operation import Operation, Reply, registrar
from store.api.reference import CSP
from store.errors import NotFound

OPERATIONS: list[Operation] = []
audit_route = registrar(OPERATIONS, "audit")
route = registrar(OPERATIONS, "system")


class SealingKeyOut(Out):
    """The public key that values can be sealed to before they are sent."""

    kid: str
    suite: int
    suite_name: str
    public_key: str
    store_id: str
    fingerprint: str
    organisation: str


class HealthOut(Out):
    """The process answers."""

    status: str


class ReadyOut(Out):
    """Whether the store can do its work; each part says ok or what is wrong."""

    status: str
    checks: dict[str, str]


@audit_route("GET", "/audit/", query=AuditQuery, answer=AuditList)
async def list_audit(call: Call) -> Reply:
    """List the audit log, newest first."""
    ask: AuditQuery = call.query
    page = await call.read(call.vault.log.list, ask.asked(call.cursor()))
    return Reply(AuditList(items=[AuditOut.of(each) for each in page.items], next=call.following(page.next)))


@audit_route("GET", "/audit/verify", answer=VerdictOut)
async def verify_audit(call: Call) -> Reply:
    """Walk the whole hash chain up to the signed head."""
    return Reply(VerdictOut.model_validate(await call.read(call.vault.log.verify)))


@audit_route("GET", "/audit/gaps/", answer=GapList)
async def list_gaps(call: Call) -> Reply:
    """List what the store found to be missing or changed in its log, acknowledged or not."""
    found = await call.read(call.vault.log.gaps)
    return Reply(GapList(items=[GapOut.model_validate(each) for each in found]))


@audit_route("POST", "/audit/gaps/{gap}/acknowledge", body=GapIn, answer=GapOut)
async def acknowledge_gap(call: Call) -> Reply:
    """Accept a gap in the log, signed and for good: the operator's owner key alone. The log is not changed."""
    found = await call.write(call.vault.log.acknowledge, call.path["gap"], call.body.note)
    return Reply(GapOut.model_validate(found))


@route("GET", "/sealing-key", answer=SealingKeyOut)
async def get_sealing_key(call: Call) -> Reply:
    """Show the key to seal values to, so that they never leave the client in clear."""
    key = await call.read(
        lambda principal: {**call.vault.sealing_keys.active(), "organisation": principal.organisation}
    )
    return Reply(SealingKeyOut.model_validate(key))


@route("GET", "/ca.pem", public=True, media="application/x-pem-file")
async def get_ca(call: Call) -> Reply:
    """Give the certificate of the proxy's CA, to be trusted by code behind the proxy."""
    try:
        return Reply(raw=await call.state.desk.read((call.state.data / "keys/public/ca.pem").read_bytes))
    except FileNotFoundError:
        raise NotFound("There is no CA in this data folder: run the proxy's `egret init`.") from None


@route("GET", "/healthz", answer=HealthOut, public=True)
async def get_health(_: Call) -> Reply:
    """Say that the process answers."""
    return Reply(HealthOut(status="ok"))


@route("GET", "/readyz", answer=ReadyOut, public=True)
async def get_readiness(call: Call) -> Reply:
    """Say whether writes would succeed: database, disk space, intake of the proxies' records. 503 when not."""
    found = await call.state.readiness.check()
    good = all(text == "ok" for text in found.values())
    return Reply(ReadyOut(status="ok" if good else "unavailable", checks=found), status=200 if good else 503)


@route("GET", "/openapi.json", public=True, media="application/json")
async def get_openapi(call: Call) -> Reply:
    """Give the OpenAPI 3.1 document."""
    return Reply(raw=call.state.described().openapi)


@route("GET", "/docs", public=True, media="text/html")
async def get_docs(call: Call) -> Reply:
    """Give this description as a page."""
    return Reply(raw=call.state.described().page, headers={"Content-Security-Policy": CSP})


@route("GET", "/docs.css", public=True, media="text/css")
async def get_docs_style(call: Call) -> Reply:
    """Give the page's style sheet."""
    return Reply(raw=call.state.described().style)


@route("GET", "/metrics", media="text/plain")
async def get_metrics(call: Call) -> Reply:
    """Give counters in Prometheus' text format. Any live key may read them: they hold no names and no ids."""
    call.state.readiness.gauge(call.state.metrics)
    return Reply(raw=call.state.metrics.render())
