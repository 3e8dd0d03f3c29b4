"""Wrapped by AWS KMS: `pip install 'egret-proxy[aws]'`. Credentials come from the machine, as boto3 finds them.

The encryption context names store and key id, so that CloudTrail shows which store's key was opened, a key policy can
demand it, and another key's ciphertext does not fit. The data plane needs `kms:Decrypt`; wrapping needs `kms:Encrypt`.
"""

import base64
from typing import Any

from store.errors import KeyMismatch, Unavailable
from store.keys.wrapping.form import About, Document, text

_PERMANENT = {
    "AccessDeniedException", "DisabledException", "IncorrectKeyException", "InvalidCiphertextException",
    "InvalidKeyUsageException", "NotFoundException", "KMSInvalidStateException", "ValidationException",
}  # fmt: skip


class AwsKms:
    """One KMS key, by its id, ARN or alias."""

    name = "aws-kms"

    def __init__(self, key_id: str, region: str = "") -> None:
        self._key_id = key_id
        self._region = region or _region(key_id)

    def wrap(self, seed: bytes, about: About) -> dict[str, object]:
        """Encrypt under the KMS key."""
        answer = self._call("encrypt", KeyId=self._key_id, Plaintext=seed, EncryptionContext=_context(about))
        own = {"key_id": answer["KeyId"], "region": self._region}
        return {**own, "ciphertext": base64.b64encode(answer["CiphertextBlob"]).decode()}

    def unwrap(self, document: Document, about: About) -> bytes:
        """Decrypt; KMS checks the context."""
        try:
            blob = base64.b64decode(text(document, "ciphertext"), validate=True)
        except ValueError as error:
            raise KeyMismatch("The wrapped opening key is damaged. Restore the file from its backup.") from error
        answer = self._call("decrypt", KeyId=self._key_id, CiphertextBlob=blob, EncryptionContext=_context(about))
        return bytes(answer["Plaintext"])

    def _call(self, verb: str, **arguments: object) -> dict[str, Any]:
        try:
            import boto3  # noqa: PLC0415  # an extra
            from botocore.config import Config  # noqa: PLC0415
            from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415
        except ImportError:
            raise KeyMismatch("The opening key is wrapped by AWS KMS: install egret-proxy[aws].") from None
        config = Config(connect_timeout=5, read_timeout=5, retries={"total_max_attempts": 3})
        try:
            client = boto3.client("kms", region_name=self._region or None, config=config)
            answer: dict[str, Any] = getattr(client, verb)(**arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            sentence = f"AWS KMS refuses to {verb} the opening key ({code})."
            raise (KeyMismatch if code in _PERMANENT else Unavailable)(sentence) from None
        except BotoCoreError as error:
            raise Unavailable(f"AWS KMS cannot be asked ({type(error).__name__}).") from None
        return answer


def _context(about: About) -> dict[str, str]:
    return {f"egret:{name}": value for name, value in about.members().items()}


def _region(key_id: str) -> str:
    """Return the region of an ARN; of other ids the machine's settings say it."""
    parts = key_id.split(":")
    return parts[3] if len(parts) > 5 and parts[0] == "arn" else ""
