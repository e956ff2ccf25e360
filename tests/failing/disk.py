"""A disk between SQLite and the file system: it remembers what was written and synced, gets full, slow, or goes read-only.

SQLite does all its reading and writing through a table of functions, its VFS. While a :class:`Disk` is in place new
connections of this process use a copy of the usual VFS in which opening, writing, cutting, syncing and deleting go through
Python. https://sqlite.org/vfs.html, https://sqlite.org/c3ref/io_methods.html
"""

from __future__ import annotations

import _sqlite3
import ctypes
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import POINTER, c_char_p, c_int, c_int64, c_void_p
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

OK, FULL, FAILS_TO_WRITE, FAILS_TO_SYNC = 0, 13, 10 | 3 << 8, 10 | 4 << 8
SECTOR = 512  # bytes, which a disk writes whole or not at all

# Names are addresses: SQLite keeps the pointer that it is given for as long as the file is open.
_Open = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Delete = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_Write = ctypes.CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = ctypes.CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = ctypes.CFUNCTYPE(c_int, c_void_p, c_int)


class _Vfs(ctypes.Structure):
    """``sqlite3_vfs``, third version."""

    _fields_: ClassVar = [
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        ("xOpen", _Open),
        ("xDelete", _Delete),
        ("rest", c_void_p * 13),
    ]


class _Methods(ctypes.Structure):
    """``sqlite3_io_methods``, third version."""

    _fields_: ClassVar = [
        ("iVersion", c_int),
        ("xClose", c_void_p),
        ("xRead", c_void_p),
        ("xWrite", _Write),
        ("xTruncate", _Truncate),
        ("xSync", _Sync),
        ("rest", c_void_p * 13),
    ]


class _File(ctypes.Structure):
    """``sqlite3_file``: what the VFS keeps of itself follows after it."""

    _fields_: ClassVar = [("pMethods", POINTER(_Methods))]


class Written(NamedTuple):
    """Bytes that a file was given at a place."""

    file: str
    offset: int
    content: bytes


class Cut(NamedTuple):
    """A file was shortened to ``size``; a file that was deleted, to nothing."""

    file: str
    size: int


class Synced(NamedTuple):
    """What the file was given until now outlives a power cut."""

    file: str


class Noted(NamedTuple):
    """What the test knew at this moment."""

    fact: Any


Event = Written | Cut | Synced | Noted


@dataclass
class Disk:
    """What goes wrong, and what was done.

    Attributes:
        events: in the order they happened, of the files in ``directory``.
        room: bytes by which its files may still grow; None: any number.
        writable: whether writing works.
        honest: whether what it says is synced is.
        sync_s: how long it takes to sync, in seconds.
        turns: while this is not set, no sync ends.
    """

    directory: Path
    events: list[Event] = field(default_factory=list)
    room: int | None = None
    writable: bool = True
    honest: bool = True
    sync_s: float = 0.0
    turns: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.turns.set()

    def note(self, fact: Any) -> None:
        """Remember what is known now, between what was done before and after."""
        self.events.append(Noted(fact))

    @property
    def syncs(self) -> int:
        """How many there were."""
        return sum(isinstance(event, Synced) for event in self.events)

    def write(self, file: str, offset: int, content: bytes) -> int:
        if not self.writable:
            return FAILS_TO_WRITE
        if self.room is not None:
            grown = offset + len(content) - (self.directory / file).stat().st_size
            if grown > self.room:
                return FULL
            self.room -= max(0, grown)
        self.events.append(Written(file, offset, content))
        return OK

    def cut(self, file: str, size: int) -> int:
        self.events.append(Cut(file, size))
        return OK

    def sync(self, file: str) -> int:
        if not self.writable:
            return FAILS_TO_SYNC
        time.sleep(self.sync_s)  # as a slow disk does
        self.turns.wait()
        if self.honest:
            self.events.append(Synced(file))
        return OK


@contextmanager
def in_place(disk: Disk) -> Iterator[Disk]:
    """What this process opens from now on lies on ``disk``. Every connection must be closed before the block ends."""
    library = ctypes.CDLL(_sqlite3.__file__)
    library.sqlite3_vfs_find.restype = POINTER(_Vfs)
    library.sqlite3_vfs_find.argtypes = [c_char_p]
    usual = library.sqlite3_vfs_find(None)
    between = _Between(disk, usual.contents)
    assert library.sqlite3_vfs_register(ctypes.byref(between.vfs), 1) == OK
    try:
        yield disk
    finally:
        library.sqlite3_vfs_unregister(ctypes.byref(between.vfs))
        assert library.sqlite3_vfs_register(usual, 1) == OK


class _Between:
    """The VFS of a disk. Its callbacks must live as long as SQLite may call them."""

    def __init__(self, disk: Disk, usual: _Vfs) -> None:
        self._disk, self._usual = disk, usual
        self._names: dict[int, str] = {}  # of open files, by the address of their structure
        self._methods: dict[int, _Methods] = {}  # ours, by the address of the usual ones
        self.vfs = _Vfs.from_buffer_copy(usual)
        self.vfs.zName = b"between"
        self.vfs.xOpen, self.vfs.xDelete = _Open(self._open), _Delete(self._delete)

    def _open(self, vfs: int, name: int | None, file: int, flags: int, opened: int) -> int:
        status = int(self._usual.xOpen(vfs, name, file, flags, opened))
        path = _path(name)
        if status == OK and path.parent == self._disk.directory:
            self._names[file] = path.name
            structure = _File.from_address(file)
            address = ctypes.addressof(structure.pMethods.contents)
            ours = self._methods.get(address) or self._methods.setdefault(address, self._made(structure.pMethods.contents))
            structure.pMethods = ctypes.pointer(ours)
        return status

    def _made(self, usual: _Methods) -> _Methods:
        ours, disk, names = _Methods.from_buffer_copy(usual), self._disk, self._names

        def write(file: int, content: int, size: int, offset: int) -> int:
            status = disk.write(names[file], offset, ctypes.string_at(content, size))
            return status or int(usual.xWrite(file, content, size, offset))

        def truncate(file: int, size: int) -> int:
            return disk.cut(names[file], size) or int(usual.xTruncate(file, size))

        def sync(file: int, flags: int) -> int:
            return disk.sync(names[file]) or int(usual.xSync(file, flags))

        ours.xWrite, ours.xTruncate, ours.xSync = _Write(write), _Truncate(truncate), _Sync(sync)
        return ours

    def _delete(self, vfs: int, name: int, sync: int) -> int:
        path = _path(name)
        if path.parent == self._disk.directory:
            self._disk.cut(path.name, 0)
        return int(self._usual.xDelete(vfs, name, sync))


def _path(name: int | None) -> Path:
    return Path(ctypes.string_at(name).decode() if name else "")  # a temporary file has none


class Platter:
    """What a power cut would leave: all that was synced, and of the rest what luck decides."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._synced = {name: bytearray(content) for name, content in files.items()}
        self._pending: dict[str, list[Written | Cut]] = {}

    def apply(self, event: Event) -> None:
        if isinstance(event, Synced):
            for change in self._pending.pop(event.file, []):
                _change(self._synced, change)
        elif isinstance(event, Written | Cut):
            self._pending.setdefault(event.file, []).append(event)

    def after_cut(self, luck: Callable[[Written | Cut], Written | Cut | None]) -> dict[str, bytearray]:
        """The files, with what ``luck`` makes of each change that was not synced."""
        files = {name: bytearray(content) for name, content in self._synced.items()}
        for changes in self._pending.values():
            for change in changes:
                if (happened := luck(change)) is not None:
                    _change(files, happened)
        return files


def nothing(_change: Written | Cut) -> None:
    """Of what was not synced nothing is there."""


def anything(chance: random.Random) -> Callable[[Written | Cut], Written | Cut | None]:
    """Each change is there, is not, or the sectors of its beginning are."""

    def luck(change: Written | Cut) -> Written | Cut | None:
        kind = chance.randrange(3)
        if kind == 0 or isinstance(change, Cut):
            return change
        written = chance.randrange(len(change.content)) // SECTOR * SECTOR
        return None if kind == 1 else change._replace(content=change.content[:written])

    return luck


def _change(files: dict[str, bytearray], change: Written | Cut) -> None:
    content = files.setdefault(change.file, bytearray())
    if isinstance(change, Cut):
        del content[change.size :]
        return
    end = change.offset + len(change.content)
    content.extend(bytes(max(0, end - len(content))))
    content[change.offset : end] = change.content
