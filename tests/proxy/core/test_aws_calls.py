"""Calls that answer with credentials are known by their names, however a request spells them."""

import gzip
import json
import os
import re
from pathlib import Path

import botocore
import botocore.session
import pytest

from proxy.border.endpoints import _services
from proxy.core.aws_calls import NAMED, ROUTES, hands_out, temporary
from proxy.core.message import Head
from proxy.core.sts import HANDS_OUT, PARTS
from store.model import Destination

HERE = Destination(True, "sts.us-east-1.amazonaws.com", 443)
FORM = ((b"Content-Type", b"application/x-www-form-urlencoded"),)
HANDED = re.compile(r"(?i)(aws)?secret_?access_?key|authorizationtoken|(db|service)password|servicecredentialsecret")
"""Members of an answer that are another key, or as good as one."""


def asked(service, target=b"/", body=b"", fields=FORM, method="POST"):
    return hands_out(service, Head(method, target, fields, HERE), body)


@pytest.mark.parametrize(
    ("target", "body", "fields"),
    [
        (b"/", b"Action=AssumeRole&Version=2011-06-15", FORM),
        (b"/", b"Version=2011-06-15&%41ction=Assume%52ole", FORM),
        (b"/", b"a=b&action=assumerole", FORM),
        (b"/?Action=AssumeRole", b"", ()),
        (b"/?Action=GetCallerIdentity", b"Action=AssumeRole", FORM),
        (b"/", b"Action=GetCallerIdentity&Action=AssumeRole", FORM),
        (b"/", b"Action=GetCallerIdentity;Action=AssumeRole", FORM),
        (b"/", b"Action=GetCallerIdentity", (*FORM, (b"X-Amz-Target", b"Sts.AssumeRole"))),
        (b"/", b"Action=GetCallerIdentity", (*FORM, (b"Content-Encoding", b"gzip"))),
        (b"/", b"{}", ((b"X-Amz-Target", b"AWSSecurityTokenService.AssumeRole"),)),
        (b"/service/AWSSecurityTokenService/operation/AssumeRole", b"\xa0", ()),
        (b"//service/x/operation/%41ssumeRole", b"\xa0", ()),
        (b"/", b"", ()),
        (b"/", b'{"Action": "AssumeRole"}', ()),
        (b"/", None, FORM),
    ],
)
def test_a_call_of_sts_that_hands_out_keys(target, body, fields):
    """In any spelling; twice, or not to be told, is the same."""
    assert asked("sts", target, body, fields)


def test_calls_that_hand_out_nothing():
    """Of the same services, and of those that are not in the tables, whose bodies are not read."""
    assert not asked("sts", body=b"Action=GetCallerIdentity&Version=2011-06-15")
    assert not asked("sts", b"/?Action=GetCallerIdentity&Version=2011-06-15", b"", ())
    assert not asked("iam", body=b"Action=ListUsers&Version=2010-05-08")
    assert not asked("ecr", fields=((b"X-Amz-Target", b"AmazonEC2ContainerRegistry_V20150921.ListImages"),))
    assert asked("ecr", body=b"Action=GetAuthorizationToken"), "in a body that is not read"
    assert asked("codeartifact", b"/v1/%2561uthorization-token?domain=x", method="GET")
    assert not asked("dynamodb", body=None, fields=((b"X-Amz-Target", b"DynamoDB_20120810.GetItem"),))
    assert not asked("s3", b"/bucket/key?prefix=session")
    assert asked("s3", b"/bucket?session") and asked("s3", b"/?x&%73ession=")


def test_temporary_keys_of_sts():
    """Those calls can be captured whose answer is a key in `Credentials`, by botocore's model; no other one's, and no two."""
    model = botocore.session.get_session().get_service_model("sts")
    shapes = {name: model.operation_model(name).output_shape.members.get("Credentials") for name in model.operation_names}  # fmt: skip
    keys = {name for name, shape in shapes.items() if shape is not None and {*PARTS} <= {*shape.members}}
    assert keys == HANDS_OUT and {name.lower().encode() for name in HANDS_OUT} <= NAMED["sts"]
    asked = lambda body, service="sts", target=b"/": temporary(service, Head("POST", target, FORM, HERE), body)  # noqa: E731
    assert all(asked(b"Version=1&Action=" + name.encode()) for name in keys)
    assert not any(asked(b"Action=" + name.encode()) for name in {*shapes} - keys)
    assert not asked(b"Action=AssumeRole&Action=AssumeRole") and not asked(b"Action=AssumeRole", target=b"/?Action=X")
    assert not asked(b"Action=AssumeRole", "iam") and not asked(b"Action=AssumeRole", "redshift")
    assert not asked(None) and not asked(b"")


WORDS = (b"ccessKey", b"ccess_key", b"uthorizationToken", b"bPassword", b"ervicePassword", b"CredentialSecret")
"""Without any of them a model has no such member, and most of a hundred megabytes need not be parsed."""


def models():
    data = Path(botocore.__file__).parent / "data"
    for name in sorted(os.listdir(data)):
        found = sorted(data.glob(f"{name}/*/service-2.json.gz"))
        if found:
            raw = gzip.decompress(found[-1].read_bytes())
            if any(word in raw for word in WORDS):
                yield json.loads(raw)


def members(shapes, name, seen=frozenset()):
    """Names of all members of a shape."""
    if name in seen:
        return
    shape, seen = shapes[name], seen | {name}
    for member, told in shape.get("members", {}).items():
        yield member
        yield from members(shapes, told["shape"], seen)
    for part in ("member", "value"):
        if part in shape:
            yield from members(shapes, shape[part]["shape"], seen)


def test_every_call_of_the_models_that_hands_out_a_key_is_known():
    """By botocore's models, all services: a release of it that brings another call fails here."""
    missing, count = [], 0
    for model in models():
        metadata = model["metadata"]
        service = metadata.get("signingName", metadata["endpointPrefix"])
        for name, operation in model["operations"].items():
            output = operation.get("output")
            if output is None or operation.get("authtype") == "none":
                continue
            if not any(HANDED.fullmatch(member) for member in members(model["shapes"], output["shape"])):
                continue
            count += 1
            target = re.sub(r"\{[^}]*\}", "x", operation["http"]["requestUri"]).encode()
            fields, body = (), b""
            if metadata["protocol"] in {"query", "ec2"}:
                body = b"Action=" + name.encode()
            elif "rest" not in metadata["protocol"]:
                fields = ((b"X-Amz-Target", f"{metadata.get('targetPrefix', 'x')}.{name}".encode()),)
            if not asked(service, target, body, fields, operation["http"]["method"]):
                missing.append((service, name))
    assert missing == []
    assert count > 40 and {*NAMED, *ROUTES} <= _services().keys(), "and the tables name no service that is not there"
