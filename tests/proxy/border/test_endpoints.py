"""Which hosts are signed for, by the name and region that a client signs for: AWS's own endpoints, and no others."""

import pytest

from proxy.border.endpoints import entry
from store.model import Destination


def found(host, service, region, secure=True, port=443):
    return entry(Destination(secure, host, port), service, region)


@pytest.mark.parametrize(
    ("host", "service", "region", "plain"),
    [
        ("s3.us-east-1.amazonaws.com", "s3", "us-east-1", True),
        ("s3.amazonaws.com", "s3", "us-east-1", True),
        ("my.bucket.s3.eu-west-1.amazonaws.com", "s3", "eu-west-1", True),
        ("b.s3.dualstack.eu-west-1.amazonaws.com", "s3", "eu-west-1", True),
        ("b.s3-accelerate.amazonaws.com", "s3", "eu-west-1", True),
        ("123456789012.s3-control.us-west-2.amazonaws.com", "s3", "us-west-2", True),
        ("s3.cn-north-1.amazonaws.com.cn", "s3", "cn-north-1", True),
        ("dynamodb.us-east-1.amazonaws.com", "dynamodb", "us-east-1", False),
        ("123456789012.ddb.us-east-1.amazonaws.com", "dynamodb", "us-east-1", False),
        ("sts.us-gov-west-1.amazonaws.com", "sts", "us-gov-west-1", False),
        ("sts.amazonaws.com", "sts", "us-east-1", False),
        ("iam.amazonaws.com", "iam", "us-east-1", False),
        ("email.eu-central-1.amazonaws.com", "ses", "eu-central-1", False),
        ("bedrock-runtime.us-west-2.amazonaws.com", "bedrock", "us-west-2", False),
        ("bedrock-runtime-fips.us-west-2.amazonaws.com", "bedrock", "us-west-2", False),
        ("sqs.us-east-1.api.aws", "sqs", "us-east-1", False),
        ("abc123.execute-api.eu-west-1.amazonaws.com", "execute-api", "eu-west-1", False),
        ("sync-states.us-east-1.amazonaws.com", "states", "us-east-1", False),
        ("api.ecr.us-east-1.amazonaws.com", "ecr", "us-east-1", False),
    ],
)
def test_endpoints_of_aws(host, service, region, plain):
    """By botocore's rules, with buckets, accounts and operations before them; S3's paths are signed as they are."""
    assert found(host, service, region) == (plain,)


@pytest.mark.parametrize(
    ("host", "service", "region"),
    [
        ("s3.us-east-1.amazonaws.com", "iam", "us-east-1"),
        ("s3.us-east-1.amazonaws.com", "s3", "us-west-2"),
        ("s3.us-east-1.amazonaws.com", "s3", "nowhere"),
        ("s3.us-east-1.amazonaws.com", "nothing", "us-east-1"),
        ("xs3.us-east-1.amazonaws.com", "s3", "us-east-1"),
        ("iam.amazonaws.com", "iam", "us-west-2"),
        ("evil.example.com", "s3", "us-east-1"),
        ("s3.us-east-1.amazonaws.com.evil.example", "s3", "us-east-1"),
        ("ec2-1-2-3-4.compute-1.amazonaws.com", "ec2", "us-east-1"),
        ("x.us-east-1.compute.amazonaws.com", "sts", "us-east-1"),
        ("lb-1.us-east-1.elb.amazonaws.com", "elasticloadbalancing", "us-east-1"),
        ("abc.lambda-url.us-east-1.on.aws", "lambda", "us-east-1"),
        ("abc123.execute-api.us-east-1.amazonaws.com", "iam", "us-east-1"),
        ("amazonaws.com", "s3", "us-east-1"),
    ],
)
def test_hosts_that_are_no_endpoint_of_what_is_signed_for(host, service, region):
    """Hosts of customers least of all: what they were sent could be sent on, to the service that was signed for."""
    assert found(host, service, region) is None


def test_nothing_is_signed_in_the_clear():
    """The token and the body would be read on the way; another port is the rule's business."""
    assert found("s3.us-east-1.amazonaws.com", "s3", "us-east-1", secure=False, port=80) is None
    assert found("s3.us-east-1.amazonaws.com", "s3", "us-east-1", port=8443) is not None
