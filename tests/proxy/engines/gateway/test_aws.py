"""A page's signed request leaves the gateway signed anew, as one of the forward proxy does: it is the same border."""

import json

from aws import NAMES, REGION, Cloud
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from certificates import Authority
from draw import Draw
from gatehouse import LOOPBACK, Gatehouse

from proxy.admission.destination import AddressGuard
from store.kinds import Credential
from store.model import Destination

ID, SECRET = "AKIAIOSFODNN7EXAMPLE", Draw("aws").letters(40)
HOST = f"dynamodb.{REGION}.amazonaws.com"


async def resolve(host, port):
    return ["127.0.0.1"]


def test_a_page_signs_with_a_placeholder(tmp_path):
    """What verifies is answered; a call that hands out keys is refused, as everywhere."""
    authority = Authority(tmp_path)
    cloud = Cloud(authority, ID, SECRET)
    guard = AddressGuard(allow_private=LOOPBACK, resolve=resolve)
    with Gatehouse(guard=guard, elsewhere={443: cloud.port}, trust=[authority.path]) as gate:
        value = json.dumps({"access_key_id": ID, "secret_access_key": SECRET}).encode()
        gate.reader.put("AWS", value, *NAMES, credential=Credential("aws"))

        def ask(service, body, **fields):
            host = HOST.replace("dynamodb", service)
            request = AWSRequest("POST", f"https://{host}/", headers=fields, data=body)
            SigV4Auth(Credentials("#{SECRETS.AWS}", "any"), service, REGION).add_auth(request)
            return gate.get("/", dict(request.headers), method="POST", body=body, destination=Destination(True, host, 443))  # fmt: skip

        status, _, answer = ask("dynamodb", "{}", **{"X-Amz-Target": "DynamoDB_20120810.GetItem"})
        assert (status, json.loads(answer)) == (200, {"Item": {"said": {"S": "{}"}}}), answer
        assert cloud.faults == [] and len(cloud.log) == 1
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        status, headers, _ = ask("sts", "Action=GetSessionToken&Version=2011-06-15", **form)
        assert (status, headers["Egret-Error"]) == (403, "signed_action_refused")
    cloud.close()
