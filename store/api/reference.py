"""The readable page at /docs: the OpenAPI document as HTML, with no script and nothing from elsewhere."""

from collections.abc import Iterator, Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from store.api.problem import CODES

CSP = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

type Schema = Mapping[str, Any]


def render(document: Mapping[str, Any], url: str) -> tuple[bytes, bytes]:
    """Return the page and its style sheet."""
    loader = PackageLoader("store.api", "pages")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    schemas = document["components"]["schemas"]
    operations = [
        {**each, "method": method, "path": path, "tables": list(_tables(each, schemas))}
        for path, methods in document["paths"].items()
        for method, each in methods.items()
    ]
    tags = [
        {"name": tag["name"], "operations": [each for each in operations if tag["name"] in each["tags"]]}
        for tag in document["tags"]
    ]
    page = environment.get_template("docs.html").render(info=document["info"], tags=tags, codes=CODES, url=url)
    return page.encode(), loader.get_source(environment, "docs.css")[0].encode()


def _tables(operation: Schema, schemas: Schema) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    parameters = [
        {"name": each["name"], "required": each["required"], "type": _type(each["schema"]), "text": _text(each)}
        for each in operation["parameters"]
    ]
    if parameters:
        yield "Parameters", parameters
    for title, content in (("Body", operation.get("requestBody")), ("Answer", _success(operation))):
        schema = (content or {}).get("content", {}).get("application/json", {}).get("schema")
        if schema:
            yield title, _fields(_resolve(schema, schemas))


def _success(operation: Schema) -> Schema:
    found: Schema = next(answer for status, answer in operation["responses"].items() if status < "300")
    return found


def _resolve(schema: Schema, schemas: Schema) -> Schema:
    found: Schema = schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    return found


def _fields(schema: Schema) -> list[dict[str, Any]]:
    required = schema.get("required", ())
    return [
        {"name": name, "required": name in required, "type": _type(each), "text": _text(each)}
        for name, each in schema.get("properties", {}).items()
    ]


def _text(schema: Schema) -> str:
    return str(schema.get("description") or schema.get("schema", {}).get("description", ""))


def _type(schema: Schema) -> str:
    if "anyOf" in schema:
        return " or ".join(dict.fromkeys(_type(each) for each in schema["anyOf"]))
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[1]
    if "enum" in schema and len(schema["enum"]) <= 12:
        return ", ".join(str(each) or '""' for each in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type", "any"))
