"""Where AWS's services are: host, signing name and region as one entry of botocore's endpoint data.

A signature counts for the service and region that it names, whatever the host: many front ends of AWS do not look at
Host. So one that names another service than its host's could be taken from a server of somebody and sent to that
service. What is not in the data (custom domains, Lambda URLs, servers of customers) is not signed for.
"""

import functools
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from store.model import Destination

_READ: Final = 16 << 10
"""Bytes of a service's model in which its metadata is; the rest can be megabytes."""

_BUCKET: Final = "egret-bucket"
_ACCOUNT: Final = "012345678901"
_WAYS: Final[tuple[Mapping[str, object], ...]] = (
    {},
    {"UseFIPS": True},
    {"UseDualStack": True},
    {"UseFIPS": True, "UseDualStack": True},
    {"UseGlobalEndpoint": True},
    {"Bucket": _BUCKET},
    {"Bucket": _BUCKET, "Accelerate": True},
    {"Bucket": _BUCKET, "Accelerate": True, "UseDualStack": True},
    {"AccountId": _ACCOUNT, "AccountIdEndpointMode": "preferred"},
)
_OPERATIONS: Final = ("data-", "query-", "sync-")
"""What some operations put before their service's host."""


class Entry(NamedTuple):
    """How an endpoint is signed for. `plain`: its path is signed as it is (S3), else encoded once more."""

    plain: bool


@functools.lru_cache(1024)
def entry(destination: Destination, service: str, region: str) -> Entry | None:
    """Return the endpoint that a destination is, by the name and region that are signed for; None: it is none.

    Takes up to a second for the first of a process, and some milliseconds for the first of a service and region. Raises
    `ImportError` without botocore.
    """
    if not destination.secure:
        return None
    host, bases = destination.host, _bases(service, region)
    for base, plain in bases.items():
        bare = next((host.removeprefix(each) for each in _OPERATIONS if host.startswith(each)), host)
        if base in {host, bare} or host.endswith("." + base):
            return Entry(plain)
    return None


@functools.lru_cache(256)
def _bases(service: str, region: str) -> dict[str, bool]:
    """Return the hosts of a service in a region, without a bucket or an account before them."""
    return {host: plain for name in _services().get(service, ()) for host, plain in _hosts(name, service, region)}


def _hosts(name: str, service: str, region: str) -> Iterator[tuple[str, bool]]:
    from botocore.endpoint_provider import EndpointProvider  # noqa: PLC0415  # an extra
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415

    loader = _loader()
    provider = EndpointProvider(loader.load_service_model(name, "endpoint-rule-set-1"), loader.load_data("partitions"))
    known = provider.ruleset.parameters.keys()
    for where in (region, "aws-global") if region == "us-east-1" else (region,):
        for way in _WAYS:
            if not way.keys() <= known:
                continue
            try:
                found = provider.resolve_endpoint(**({"Region": where} if "Region" in known else {}), **way)
            except BotoCoreError:  # there is no such variant there
                continue
            plain = _signed_for(found.properties.get("authSchemes"), service, region, stated=where == region)
            host = urlsplit(found.url).hostname
            if plain is not None and host:
                yield host.removeprefix(f"{_BUCKET}.").removeprefix(f"{_ACCOUNT}."), plain


def _signed_for(schemes: list[dict[str, Any]] | None, service: str, region: str, *, stated: bool) -> bool | None:
    """Return whether paths are signed as they are; None where the endpoint is signed for otherwise."""
    if not schemes:
        return False if stated else None
    for scheme in schemes:
        names = scheme.get("signingName", service), scheme.get("signingRegion", region if stated else None)
        if scheme.get("name") == "sigv4" and names == (service, region):
            return bool(scheme.get("disableDoubleEncoding", False))
    return None


@functools.cache
def _loader() -> Any:  # noqa: ANN401  # botocore is not typed
    """Return what reads the data that came with botocore, and none that a user left in a folder."""
    from botocore.loaders import Loader  # noqa: PLC0415

    return Loader(extra_search_paths=[Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)


@functools.cache
def _services() -> dict[str, list[str]]:
    """Return the names of services by the name that is signed for."""
    loader, found = _loader(), dict[str, list[str]]()
    for name in loader.list_available_services("service-2"):
        folder = Path(loader.BUILTIN_DATA_PATH) / name / loader.determine_latest_version(name, "service-2")
        metadata = _metadata(folder / "service-2.json")
        if "v4" in {metadata.get("signatureVersion"), *metadata.get("auth", ())} or _is_v4(metadata):
            found.setdefault(metadata.get("signingName", metadata["endpointPrefix"]), []).append(name)
    return found


def _is_v4(metadata: Mapping[str, Any]) -> bool:
    return metadata.get("signatureVersion") in {"s3", "s3v4"} or "aws.auth#sigv4" in metadata.get("auth", ())


def _metadata(path: Path) -> dict[str, Any]:
    """Read the beginning of a model: all of them together are a hundred megabytes."""
    packed = path.with_name(path.name + ".gz")
    if packed.exists():
        with packed.open("rb") as stream:
            text = zlib.decompressobj(wbits=31).decompress(stream.read(_READ), _READ)
    else:
        with path.open("rb") as stream:
            text = stream.read(_READ)
    begin = text.index(b'"metadata":') + len(b'"metadata":')
    made: dict[str, Any] = json.JSONDecoder().raw_decode(text[begin:].decode("latin-1").lstrip())[0]
    return made
