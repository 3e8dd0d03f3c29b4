"""boto3 signs its requests: they must arrive as they were signed, body included."""

import os

import boto3
from botocore.config import Config

s3 = boto3.client(
    "s3",
    endpoint_url=os.environ["API"],
    region_name="eu-west-1",
    aws_access_key_id="AKIDEXAMPLE",
    aws_secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",  # AWS's documented example
    config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
)
print(s3.list_buckets()["ResponseMetadata"]["HTTPStatusCode"])
print(s3.put_object(Bucket="b", Key="a b/ü", Body=b"\x00body" * 1000)["ResponseMetadata"]["HTTPStatusCode"])
