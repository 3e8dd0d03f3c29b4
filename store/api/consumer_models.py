"""Consumers, in and out."""

from typing import Annotated

from pydantic import Field

from store.api.fields import Label, Model, Name, Out, Prose, Time


class ConsumerPut(Model):
    """What a consumer declares: all the secrets that it uses, and no other."""

    name: Label
    secrets: Annotated[list[Name], Field(max_length=1000)]
    description: Prose = ""


class ConsumerOut(Out):
    """A consumer."""

    id: str
    project: str
    name: str
    description: str
    secrets: list[str]
    created_at: Time
    created_by: str
    updated_at: Time
    updated_by: str
    state: str = Field(description="active; damaged: it does not verify, and its sessions are refused.")


class ConsumerList(Out):
    """A page of consumers, by id."""

    items: list[ConsumerOut]
    next: str | None
