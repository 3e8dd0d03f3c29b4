"""A disk that loses power: records what SQLite writes and syncs, and rebuilds what could be left after a cut.

At a cut, everything synced before it is there. Of what was written after the last sync of its file, any part may be
missing, and one write may be torn. Written for APSW, whose VFS can be subclassed in Python.
"""

from dataclasses import dataclass, field

import apsw
from draw import Draw

SECTOR = 512


@dataclass
class Operation:
    """One call: write, truncate, sync or delete of a file, or `mark` (the caller got its answer)."""

    kind: str
    name: str = ""
    offset: int = 0
    data: bytes = b""


@dataclass
class Tape:
    """What happened, in order."""

    operations: list[Operation] = field(default_factory=list)

    def mark(self) -> None:
        self.operations.append(Operation("mark"))


class RecordingFile(apsw.VFSFile):
    def __init__(self, tape, name, filename, flags):
        self._tape, self._name = tape, name
        super().__init__("", filename, flags)

    def xWrite(self, data, offset):
        self._tape.operations.append(Operation("write", self._name, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, size):
        self._tape.operations.append(Operation("truncate", self._name, size))
        super().xTruncate(size)

    def xSync(self, flags):
        super().xSync(flags)
        self._tape.operations.append(Operation("sync", self._name))


class RecordingVFS(apsw.VFS):
    def __init__(self, tape, name):
        self._tape = tape
        super().__init__(name, "")

    def xOpen(self, name, flags):
        path = name.filename() if isinstance(name, apsw.URIFilename) else name
        return RecordingFile(self._tape, str(path).rpartition("/")[2], name, flags)

    def xDelete(self, filename, syncdir):
        super().xDelete(filename, syncdir)
        self._tape.operations.append(Operation("delete", filename.rpartition("/")[2]))


class Disk:
    """Files as bytes: `synced` is safe, `pending` may be lost."""

    def __init__(self, start, lots: Draw):
        self.lots = lots
        self.synced = {name: bytearray(data) for name, data in start.items()}
        self.pending: dict[str, list[Operation]] = {}

    def apply(self, operation: Operation) -> None:
        if operation.kind == "sync":
            for waiting in self.pending.pop(operation.name, []):
                _put(self.synced, waiting)
        elif operation.kind != "mark":
            self.pending.setdefault(operation.name, []).append(operation)

    def after_cut(self):
        """One possible state: each pending operation kept, lost or torn, by lot."""
        left = {name: bytearray(data) for name, data in self.synced.items()}
        for waiting in self.pending.values():
            for operation in waiting:
                lot = self.lots.randrange(4)
                if lot == 0:
                    continue
                if lot == 1 and operation.kind == "write" and len(operation.data) > SECTOR:
                    cut = SECTOR * self.lots.randrange(len(operation.data) // SECTOR + 1)
                    operation = Operation("write", operation.name, operation.offset, operation.data[:cut])
                _put(left, operation)
        return {name: bytes(data) for name, data in left.items()}


def _put(files, operation):
    if operation.kind == "delete":
        files.pop(operation.name, None)
        return
    file = files.setdefault(operation.name, bytearray())
    if operation.kind == "truncate":
        del file[operation.offset :]
        return
    end = operation.offset + len(operation.data)
    if len(file) < end:
        file.extend(bytes(end - len(file)))
    file[operation.offset : end] = operation.data
