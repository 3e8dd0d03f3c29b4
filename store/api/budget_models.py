"""Budgets of a dataset, in and out."""

from typing import Annotated, Literal

from pydantic import Field

from store.api.fields import Id, Model, Name, Out, Time, Word
from store.budgets import LARGEST, MOST
from store.records import Budgeted, BudgetInfo

Limit = Annotated[int, Field(ge=0, le=LARGEST)]
Of = Literal["dataset", "session", "consumer", "secret"]
Unit = Literal["requests", "bytes", "tokens", "cost"]
Period = Literal["hour", "day", "month", "ever"]


class _Limits(Model):
    unit: Unit = Field(description="Of `cost`, limits and counts are micro-dollars: millionths of a US dollar.")
    per: Period = Field(description="Of the calendar, in UTC.")
    soft: Limit | None = Field(None, description="From here on the audit says so.")
    hard: Limit | None = Field(None, description="More is refused; without it, it is counted alone.")


class SharedBudget(_Limits):
    """A budget of the dataset as a whole, or of each session of it."""

    of: Literal["dataset", "session"]


class ConsumerBudget(_Limits):
    """A budget of a consumer, or of each."""

    of: Literal["consumer"]
    name: Id | None = Field(None, description="One consumer; left out: each counts for itself.")


class SecretBudget(_Limits):
    """A budget of a secret, or of each."""

    of: Literal["secret"]
    name: Name | None = Field(None, description="One secret; left out: each counts for itself.")


BudgetIn = Annotated[SharedBudget | ConsumerBudget | SecretBudget, Field(discriminator="of")]


class BudgetsPut(Model):
    """All of a dataset's budgets; what is not in it is gone."""

    items: Annotated[list[BudgetIn], Field(max_length=MOST)]


class Count(Out):
    """What was drawn of a budget in this period."""

    name: Word = Field(description="The secret, consumer or session (its id); null: the dataset.")
    used: int
    state: Literal["fine", "soft", "exhausted"]


class BudgetOut(Out):
    """A budget, and what was drawn from it."""

    of: Of
    name: str | None
    unit: Unit
    per: Period
    soft: int | None
    hard: int | None
    resets_at: Time | None
    counts: list[Count] = Field(description="The most first; a second or two behind what is counted.")

    @classmethod
    def of_info(cls, info: BudgetInfo) -> "BudgetOut":
        """Return the answer for what the vault knows."""
        counts = [Count(name=name, used=used, state=info.state(used)) for name, used in info.used.items()]
        return cls(
            of=info.of,
            name=info.name or None,
            unit=info.unit,
            per=info.per,
            soft=info.soft,
            hard=info.hard,
            resets_at=info.until,
            counts=counts,
        )


class BudgetList(Out):
    """All of a dataset's budgets."""

    items: list[BudgetOut]
    next: Word

    @classmethod
    def of_all(cls, found: Budgeted) -> "BudgetList":
        """Return the answer for what the vault knows."""
        return cls(items=[BudgetOut.of_info(each) for each in found.items], next=None)
