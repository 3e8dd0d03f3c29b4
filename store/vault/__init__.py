"""The write gate. Every verb takes a `Principal`, authorises, and audits in the transaction of the change.

Sync; call it from one thread at a time for writes (`store.database.writer.WriterThread`), from any thread for reads.

    Vault.open(url, data) -> Vault            migrate, check keys; raises KeyMismatch
    authenticate(api_key, source=, request_id=) -> Principal                    report_leaked(api_key)
    create_organisation(p, id, name) -> key   the operator's owner key alone
    create_project(p, name, id=)              list_projects(p, limit=, cursor=)
    create_dataset(p, project, Upload, id=)   get_dataset   list_datasets   replace_dataset(…, Upload, if_match=)
    delete_dataset(p, project, dataset)       disable_dataset(…, disabled=True)
    expect_upload(scope, etag)                finish_upload(scope, etag, keep)     by who was shown an upload URL
    put(p, scope, kind, NewEntry, if_match=, if_none_match=)      a new version, used at once
    list(p, scope, kind, Listing) -> Page
    info / patch(…, Change) / delete / disable / enable        by (p, scope, kind, name, environment=)
    versions / activate(…, name, number) / destroy(…, name, number)
    create_member   list_members   get_member   patch_member   remove_member      by (p, member)
    set_project_role / drop_project_role(p, project, member)                 list_project_members(p, project)
    create_group   list_groups   get_group   rename_group   delete_group   join_group(p, group, member, leave=False)
    grant(p, scope, GroupGrant)   ungrant(p, scope, group)   list_grants(p, scope)
    declare_consumer(p, project, consumer, Declaration)   list_consumers   get_consumer   delete_consumer
    open_session(p, project, dataset, NewSession) -> (SessionInfo, token)   list_sessions  get_session  revoke_session
    create_key(p, NewKey) -> (KeyInfo, key)   list_keys  get_key  patch_key  revoke_key  rotate_key(p, id, overlap)
    recover_owner(p) -> key    the operator at the data folder alone
    audit(p, LogQuery) -> Page                verify_audit(p) -> Verdict
    recall(mark) -> Answer | None             marked(mark, verb)   keep_answer(mark, Answer)      Idempotency-Key
    sealing_key()  list_sealing_keys(p)  register_sealing_key(p, public)  take_resealed(p, batch)
    retire_sealing_key(p, kid)  put_recovery(p, bundle)
    beat()  intake(data).take()  tend()       the store's own duties; `store.vault.keeper.Keeper` runs them

`scope` is `principal.scope(project, dataset)`: dataset, project or organisation, all alike. Input errors are
`store.errors.Invalid` with pointers relative to the body of that request.
"""

from store.vault.consumers import Consumers, Declaration
from store.vault.datasets import Datasets, Upload
from store.vault.entries import Entries
from store.vault.groups import Groups
from store.vault.keys import KeyChange, Keys
from store.vault.listing import Listing
from store.vault.log import Log, LogQuery, Verdict
from store.vault.members import MemberChange, NewMember
from store.vault.once import Answer, Repeatable
from store.vault.organisations import Organisations
from store.vault.projects import Projects
from store.vault.rights import NewKey
from store.vault.sealing_keys import Resealed, SealingKeys
from store.vault.sessions import NewSession, Sessions
from store.vault.uploads import Files

__all__ = [
    "Answer",
    "Declaration",
    "KeyChange",
    "Listing",
    "LogQuery",
    "MemberChange",
    "NewKey",
    "NewMember",
    "NewSession",
    "Resealed",
    "Upload",
    "Vault",
    "Verdict",
]


class Vault(
    Organisations, Projects, Datasets, Files, Entries, Consumers, Sessions, Keys, Groups, Log, Repeatable, SealingKeys
):
    """All verbs."""
