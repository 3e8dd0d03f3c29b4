"""The admin API: thin aiohttp handlers over the vault (spec 6).

Why nothing leaks here. A value enters in a request body and goes straight to the vault, which seals it; no answer model
has a field for it. What is left are errors, so every error of this package is built from fixed sentences and from the
schema: never from the input (not even from its keys, which can be secrets pasted in the wrong place), never from the
text of an exception. `outer` is the one place that turns an exception into bytes.

    server    sockets to requests; broken framing to problem documents
    outer     every request: id, errors to the wire, headers of every answer, the log line
    operation the registry: one entry is at once route, validator and OpenAPI operation
    strict    bytes to JSON and JSON to models, without echo
    routes_*  thin handlers
    app       puts them together
"""
