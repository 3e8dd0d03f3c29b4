"""Where secrets and variables are kept, as a path of the admin API."""

from dataclasses import dataclass
from urllib.parse import quote


def part(text: str) -> str:
    """Return a text as one segment of a path."""
    return quote(text, safe="")


@dataclass(frozen=True, slots=True)
class Area:
    """Where secrets and variables are kept: one dataset, or a project or organisation for all of its datasets."""

    dataset: str | None = None
    project: str = "default"
    organisation: str | None = None

    @property
    def path(self) -> str:
        """The route below which `secrets/` and `variables/` are."""
        if self.organisation is not None:
            return f"/orgs/{part(self.organisation)}"
        path = f"/projects/{part(self.project)}"
        return path if self.dataset is None else f"{path}/datasets/{part(self.dataset)}"
