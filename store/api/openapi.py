"""The OpenAPI 3.1 document, made from the registry and the models that validate: there is no second description."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from store.api import paths
from store.api.fields import Out
from store.api.links import links
from store.api.operation import Operation
from store.api.problem import CODES, CONTENT_TYPE

REF = "#/components/schemas/{model}"


class ProblemItem(Out):
    """One fault in the input: where, which, what to do. Never the input itself."""

    pointer: str = Field(description="JSON pointer (RFC 6901); a key that is not ours is `?`.")
    code: str
    detail: str


class ProblemDocument(Out):
    """An RFC 9457 problem document."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemItem]


def build(operations: Iterable[Operation], version: str) -> dict[str, Any]:
    """Return the document."""
    listed = list(operations)
    names, schemas = _schemas(listed)
    made: dict[str, dict[str, Any]] = {}
    for each in listed:
        described = _operation(each, names)
        if given := links(each, listed):
            for status in {str(each.status), *(["201"] if each.creates else [])}:
                described["responses"][status]["links"] = given
        made.setdefault(each.path, {})[each.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Egret admin API",
            "version": version,
            "description": "A write-only store: values go in, no request brings one out.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"ApiKey": []}, {"Bearer": []}],
        "tags": [{"name": tag} for tag in dict.fromkeys(each.tag for each in listed)],
        "paths": made,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "ApiKey": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "Authorization",
                    "description": "`Authorization: Api-Key egk_…`",
                },
                "Bearer": {"type": "http", "scheme": "bearer", "description": "The same key as a bearer token."},
            },
        },
    }


type Names = dict[tuple[type[BaseModel], str], str]


def _schemas(operations: list[Operation]) -> tuple[Names, dict[str, Any]]:
    wanted: list[Any] = [(ProblemDocument, "serialization")]
    for each in operations:
        wanted += [(each.body, "validation")] if each.body else []
        wanted += [(each.answer, "serialization")] if each.answer else []
    references, definitions = models_json_schema(list(dict.fromkeys(wanted)), ref_template=REF)
    names = {key: value["$ref"] for key, value in references.items()}
    return names, definitions["$defs"]  # type: ignore[return-value]


def _operation(each: Operation, names: Names) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationId": each.name,
        "tags": [each.tag],
        "summary": each.text.split("\n", 1)[0].rstrip("."),
        "description": _description(each),
        "parameters": [*(paths.parameter(name, put=each.method == "PUT") for name in each.parameters), *_query(each)],
        "responses": {**_successes(each, names), **_failures(each)},
    }
    if each.body is not None:
        content = {"application/json": {"schema": {"$ref": names[each.body, "validation"]}}}
        made["requestBody"] = {"required": each.needs_body, "content": content}
    if each.upload:
        made["requestBody"] = {"required": True, "content": {"*/*": {}}}
    if each.public:
        made["security"] = []
    return made


def _description(each: Operation) -> str:
    parts = [each.text]
    if each.once:
        parts.append("Takes `Idempotency-Key`; a repetition answers as the first time, without what is shown once.")
    if each.tagged:
        parts.append("Takes `If-Match` and `If-None-Match`.")
    return "\n\n".join(parts)


def _query(each: Operation) -> list[dict[str, Any]]:
    if each.query is None:
        return []
    schema = each.query.model_json_schema()
    return [
        {"name": name, "in": "query", "required": False, "schema": _plain(part)}
        for name, part in schema["properties"].items()
    ]


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a query parameter's schema without the null that stands for absence."""
    made = {key: value for key, value in schema.items() if key not in {"default", "title", "anyOf"}}
    for part in schema.get("anyOf", ()):
        if part.get("type") != "null":
            made |= part
    return made


def _successes(each: Operation, names: Names) -> dict[str, Any]:
    found = {str(each.status): _success(each, names)}
    return {**found, "201": _success(each, names)} if each.creates else found


def _success(each: Operation, names: Names) -> dict[str, Any]:
    made: dict[str, Any] = {"description": "Done."}
    if each.answer is not None:
        made["content"] = {"application/json": {"schema": {"$ref": names[each.answer, "serialization"]}}}
    elif each.status != 204:
        made["content"] = {each.media: {}}
    if each.tagged:
        made["headers"] = {"ETag": {"schema": {"type": "string"}, "description": "For If-Match and If-None-Match."}}
    return made


def _failures(each: Operation) -> dict[str, Any]:
    return {str(status): _failure(status) for status in sorted(_statuses(each))}


def _statuses(each: Operation) -> set[int]:
    found = {400, 404, 405, 408, 413, 415, 417, 422, 429, 431, 500, 503}
    if not each.public:
        found |= {401, 403}
    if each.tagged:
        found |= {304, 412} if each.method == "GET" else {412}
    if each.method != "GET":
        found |= {409}
    return found


def _failure(status: int) -> dict[str, Any]:
    if status == 304:
        return {"description": "Not changed since the ETag in If-None-Match."}
    codes = ", ".join(f"`{code}`" for code, (each, _) in CODES.items() if each == status)
    schema = {"$ref": REF.format(model="ProblemDocument")}
    return {"description": f"Problem document: {codes}.", "content": {CONTENT_TYPE: {"schema": schema}}}
