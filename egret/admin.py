"""The part of the client that says who may do what: keys, members, groups, consumers."""

from collections.abc import Iterator, Sequence

from egret.area import Area, part
from egret.transport import Document, Transport


class Admin(Transport):
    """Routes as methods; `egret.client.Client` has them all."""

    # keys

    def create_key(self, /, **options: object) -> Document:
        """Create an API key; it is shown once. Options: name, permission, member, consumers, ttl."""
        return self.call("POST", "/keys/", options)

    def keys(self, /, **query: str) -> Iterator[Document]:
        """List API keys, without their secret part. `sort`: -created_at, or last_used_at; `-` in front: down."""
        return self.pages("/keys/", query)

    def own_key(self) -> Document:
        """Return what is known of the very key that is used; every key may ask that."""
        return self.call("GET", f"/keys/{part(self.key.split('_')[1] if self.key.count('_') > 1 else '-')}")

    def change_key(self, /, key: str, **options: object) -> Document:
        """Change a key's name, rights, networks or expiry."""
        return self.call("PATCH", f"/keys/{part(key)}", options)

    def rotate_key(self, key: str, overlap: str, *, sessions: str = "keep") -> Document:
        """Replace a key; the old one works for `overlap` longer. Its sessions go on, unless `sessions` is "end"."""
        return self.call("POST", f"/keys/{part(key)}/rotate", {"overlap": overlap, "sessions": sessions})

    def key_sessions(self, key: str) -> Iterator[Document]:
        """List the live sessions that a key opened, without their tokens."""
        return self.pages(f"/keys/{part(key)}/sessions")

    def end_key_sessions(self, key: str) -> None:
        """End all sessions that a key opened, at once."""
        self.call("DELETE", f"/keys/{part(key)}/sessions")

    def revoke_key(self, key: str) -> None:
        """End an API key and the sessions that it opened, at once."""
        self.call("DELETE", f"/keys/{part(key)}")

    def key_compromised(self, key: str) -> Document:
        """End a key that may be in other hands, the sessions that it opened and the keys that it made, at once.

        Returns what ended with it: `sessions`, how many, and `keys`.
        """
        return self.call("POST", f"/keys/{part(key)}/compromised")

    def report_leaked(self, key: str) -> None:
        """End a key by showing it, with its sessions and the keys that it made; an unknown one gets the same answer."""
        self.call("POST", "/report-leaked", {"key": key})

    # members

    def create_member(self, /, name: str, **options: object) -> Document:
        """Add a member of the organisation. Options: id, email, role."""
        return self.call("POST", "/members/", {"name": name, **options})

    def members(self, project: str | None = None) -> Iterator[Document]:
        """List the organisation's members, or those with a role in a project."""
        return self.pages("/members/" if project is None else f"/projects/{part(project)}/members/")

    def member(self, member: str) -> Document:
        """Return one member with roles and groups."""
        return self.call("GET", f"/members/{part(member)}")

    def change_member(self, /, member: str, **options: object) -> Document:
        """Change name, email or role; role None takes it away. Felt by the next request of the member's keys."""
        return self.call("PATCH", f"/members/{part(member)}", options)

    def remove_member(self, member: str) -> None:
        """Remove a member; its keys and sessions end at once."""
        self.call("DELETE", f"/members/{part(member)}")

    def set_project_role(self, member: str, role: str | None, project: str = "default") -> None:
        """Give a member a role in a project; None takes it away."""
        path = f"/projects/{part(project)}/members/{part(member)}"
        if role is None:
            self.call("DELETE", path)
        else:
            self.call("PUT", path, {"role": role})

    # groups

    def create_group(self, /, name: str, **options: object) -> Document:
        """Make a group. Options: id."""
        return self.call("POST", "/groups/", {"name": name, **options})

    def groups(self) -> Iterator[Document]:
        """List groups and who is in them."""
        return self.pages("/groups/")

    def delete_group(self, group: str) -> None:
        """Delete a group that nothing names any more."""
        self.call("DELETE", f"/groups/{part(group)}")

    def join_group(self, group: str, member: str) -> Document:
        """Put a member into a group."""
        return self.call("PUT", f"/groups/{part(group)}/members/{part(member)}")

    def leave_group(self, group: str, member: str) -> None:
        """Take a member out of a group."""
        self.call("DELETE", f"/groups/{part(group)}/members/{part(member)}")

    def grants(self, area: Area) -> Iterator[Document]:
        """List what groups may do with everything in an area."""
        return self.pages(f"{area.path}/groups/")

    def grant(self, area: Area, group: str, permissions: Sequence[str]) -> Document:
        """Give a group metadata, write or use of everything in an area; none of them takes all away."""
        path = f"{area.path}/groups/{part(group)}"
        if not permissions:
            return self.call("DELETE", path)
        return self.call("PUT", path, {"permissions": list(permissions)})

    # consumers

    def declare_consumer(
        self, consumer: str, secrets: Sequence[str], project: str = "default", *, name: str = "", description: str = ""
    ) -> Document:
        """Declare the secrets that a consumer uses: exactly these are in its sessions from now on."""
        body = {"name": name or consumer, "secrets": list(secrets), "description": description}
        return self.call("PUT", f"/projects/{part(project)}/consumers/{part(consumer)}", body)

    def consumers(self, project: str = "default") -> Iterator[Document]:
        """List a project's consumers."""
        return self.pages(f"/projects/{part(project)}/consumers/")

    def consumer(self, consumer: str, project: str = "default") -> Document:
        """Return what a consumer declares."""
        return self.call("GET", f"/projects/{part(project)}/consumers/{part(consumer)}")

    def delete_consumer(self, consumer: str, project: str = "default") -> None:
        """Delete a consumer; its sessions end at once."""
        self.call("DELETE", f"/projects/{part(project)}/consumers/{part(consumer)}")
