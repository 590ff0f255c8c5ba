"""What `isolation=sealed` takes from a method's process: the files of its user, other processes, and the network.

The process gets Linux namespaces of its own (user, mounts, processes, network), for which no rights are needed where the system
allows them to users. Invariant: after `Seal.enter` the file system holds the system's own folders and the code, read-only, and
the run's folder, of which all but what was handed over can be written; and the process can undo none of it.

What is visible is listed, not what is hidden: a data folder is out of reach because nobody names it. Folders of data that lie
inside folders of code are covered by empty ones.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from relbench_harness.protocol.process_tree import PARENT_DEATH, prctl

USER, MOUNTS, PROCESSES, NETWORK, IPC, NAMES = 0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000, 0x04000000
"""Kinds of namespaces (`CLONE_NEW…`)."""
BIND, RECURSIVE, PRIVATE, DETACH = 0x1000, 0x4000, 0x40000, 2
NOSUID, NODEV, NOEXEC = 2, 4, 8
"""Flags of `mount`."""
MOUNT_SETATTR, AT_FDCWD, AT_RECURSIVE, READ_ONLY = 442, -100, 0x8000, 1
NO_NEW_PRIVILEGES, DROP_FROM_BOUND = 38, 24
"""Options of `prctl`."""
SYSTEM = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/usr", "/etc", "/dev", "/sys", "/nix/store")
"""Folders of the system that are visible, read-only; devices in `/dev` work all the same."""
ROOT = "root"
"""The folder below a run's where its file system is put together."""
LAYERS = "layers"
"""The folder below a run's that takes what is written to folders of code, such as compiled kernels: it goes with the run."""


class SealError(Exception):
    """The system does not allow what sealing needs. The message says what."""


@dataclass(frozen=True)
class Seal:
    """How a process is cut off.

    Attributes:
        code: Folders that stay readable.
        hidden: Folders that look empty where they lie inside one of `code`.
        layered: Folders of code that seem to take what is written to them.
        folder: The run's folder.
        given: The part of it that stays read-only.
        home: The part of it that is the process's home, and holds its temporary files.
        shared_mb: Most shared memory.
    """

    code: tuple[str, ...]
    hidden: tuple[str, ...]
    layered: tuple[str, ...]
    folder: str
    given: str
    home: str
    shared_mb: int

    def enter(self, control: socket.socket) -> None:
        """Returns in a process that is cut off; the one that calls waits for it and ends as it ends.

        Raises:
            SealError: The system does not allow it.
        """
        user, group = os.getuid(), os.getgid()
        _call("unshare", USER | MOUNTS | PROCESSES | NETWORK | IPC | NAMES)
        try:
            Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
            Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="ascii")
            Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="ascii")
        except OSError as error:
            raise SealError(f"a user namespace of its own: {error.strerror}") from None
        # other credentials have undone it
        prctl(PARENT_DEATH, signal.SIGKILL)
        if first := os.fork():
            _end_as(first, control)
        prctl(PARENT_DEATH, signal.SIGKILL)
        self._mount()
        _raise_loopback()
        if own := os.fork():
            # the first process of a namespace takes no signal, so the method's is another; with this one all of them end
            _end_as(own, control)
        prctl(PARENT_DEATH, signal.SIGKILL)
        os.setsid()
        _drop_rights()
        os.environ.update(HOME=self.home, TMPDIR=self.home, RELBENCH_HARNESS_CACHE=f"{self.home}/cache")
        os.environ.update(XDG_CACHE_HOME=f"{self.home}/.cache")
        os.chdir(self.home)

    # -- the file system --------------------------------------------------------------------------------------------------

    def _mount(self) -> None:
        """Puts a file system together in an empty one and makes it the root."""
        root = f"{self.folder}/{ROOT}"
        _mount("none", "/", None, RECURSIVE | PRIVATE)
        _mount("tmpfs", root, "tmpfs", NOSUID | NODEV, "mode=755,size=16m")
        self._show(root)
        for place in (self.folder, "/proc", "/tmp", "/dev/shm", *self.layered):
            _folder(root, place)
        _read_only(root, AT_RECURSIVE)
        _mount(self.folder, root + self.folder, None, BIND)
        _mount(self.given, root + self.given, None, BIND | RECURSIVE)
        _read_only(root + self.given, AT_RECURSIVE)
        _mount("tmpfs", f"{root}/dev/shm", "tmpfs", NOSUID | NODEV, f"mode=1777,size={self.shared_mb}m")
        if not any(place.startswith("/tmp/") for place in (self.folder, *self.code)):
            _mount(self.home, f"{root}/tmp", None, BIND)
        _mount("proc", f"{root}/proc", "proc", NOSUID | NODEV | NOEXEC)
        for number, place in enumerate(self.layered):
            self._layer(root, number, place)
        os.chdir(root)
        _call("pivot_root", b".", b".")
        _call("umount2", b".", DETACH)
        os.chdir("/")

    def _show(self, root: str) -> None:
        """Binds what is visible, an outer folder before those inside it."""
        places = {**dict.fromkeys(SYSTEM, True), **dict.fromkeys(self.hidden, False), **dict.fromkeys(self.code, True)}
        for place in sorted(places, key=lambda name: name.count("/")):
            if os.path.islink(place):
                _link(root, place)
            elif os.path.isdir(place) and places[place]:
                _mount(place, _folder(root, place), None, BIND | RECURSIVE)
            elif os.path.isdir(root + place):
                _mount("tmpfs", root + place, "tmpfs", NOSUID | NODEV, "mode=755,size=16m")

    def _layer(self, root: str, number: int, place: str) -> None:
        """What is written to `place` goes to the run's folder. Where the system cannot do it, it stays read-only."""
        upper, working = (f"{self.folder}/{LAYERS}/{number}/{part}" for part in ("upper", "working"))
        for part in (upper, working):
            os.makedirs(part)
        try:
            said = f"lowerdir={place},upperdir={upper},workdir={working},userxattr"
            _mount("overlay", root + place, "overlay", NOSUID | NODEV, said)
        except SealError:
            # an older system, or a name that overlays cannot take
            _mount(place, root + place, None, BIND)
            _read_only(root + place, 0)


def seal_of(folder: Path, parts: tuple[Path, Path], code: Iterable[Path], hidden: Iterable[Path], shared_mb: int) -> Seal:
    """The seal of a run in `folder`.

    Args:
        parts: What was handed over, and the home, both in `folder`.
        code: Folders of code beside those of Python and of the harness.
        hidden: Folders of data.
    """
    from relbench_harness.data.cache import cache_home, kernels_home
    from relbench_harness.home import home

    package = Path(__file__).resolve().parents[1]
    own = {package, home("baselines"), home("configs")}
    python = {sys.prefix, sys.base_prefix, sys.exec_prefix, *(entry for entry in sys.path if os.path.isabs(entry))}
    known = own | {Path(entry) for entry in python} | set(code)
    kernels = kernels_home()
    if kernels is not None:
        kernels.mkdir(parents=True, exist_ok=True)
    return Seal(
        code=_names(path for path in known if path.is_dir()),
        hidden=_names([*hidden, cache_home()]),
        layered=_names([package, home("baselines")] if kernels is None else [kernels]),
        folder=str(folder.resolve()),
        given=str(parts[0].resolve()),
        home=str(parts[1].resolve()),
        shared_mb=shared_mb,
    )


def _names(paths: Iterable[Path]) -> tuple[str, ...]:
    """Absolute names, links followed as well as not, the root of all aside."""
    found = {str(name) for path in paths for name in (Path(os.path.abspath(path)), path.resolve())}
    return tuple(sorted(found - {"/"}))


def _folder(root: str, place: str) -> str:
    """The folder `place` below `root`, made where it is not there."""
    try:
        os.makedirs(root + place, exist_ok=True)
    except OSError as error:
        raise SealError(f"a file system of its own: {place}: {error.strerror}") from None
    return root + place


def _link(root: str, place: str) -> None:
    if not os.path.lexists(root + place):
        with suppress(OSError):
            os.makedirs(os.path.dirname(root + place), exist_ok=True)
            os.symlink(os.readlink(place), root + place)


# -- the system -----------------------------------------------------------------------------------------------------------

WHAT = {
    "unshare": "namespaces for users, mounts, processes and network",
    "mount": "a file system of its own",
    "mount_setattr": "folders that are read-only (Linux 5.12 or later)",
    "pivot_root": "a file system of its own",
    "umount2": "a file system of its own",
    "capset": "a process without rights",
}
"""Call → what it is for."""


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    done = libc.syscall(MOUNT_SETATTR, *arguments) if name == "mount_setattr" else getattr(libc, name)(*arguments)
    if done != 0:
        number = ctypes.get_errno()
        raise SealError(f"{WHAT[name]}: {os.strerror(number)}")


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    try:
        _call(
            "mount",
            os.fsencode(source),
            os.fsencode(target),
            None if kind is None else kind.encode(),
            ctypes.c_ulong(flags),
            None if options is None else os.fsencode(options),
        )
    except SealError as error:
        raise SealError(f"{error} ({kind or source})") from None


def _read_only(target: str, flags: int) -> None:
    attributes = struct.pack("QQQQ", READ_ONLY, 0, 0, 0)
    _call(
        "mount_setattr", AT_FDCWD, os.fsencode(target), ctypes.c_uint(flags), attributes, ctypes.c_size_t(len(attributes))
    )


def _raise_loopback() -> None:
    """The network of one machine works, for methods whose parts speak to each other over it."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        # SIOCSIFFLAGS with IFF_UP
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 1))


def _drop_rights() -> None:
    """Gives up all rights over the namespaces, for this process and all that it starts."""
    prctl(NO_NEW_PRIVILEGES, 1)
    for right in range(64):
        with suppress(OSError):
            prctl(DROP_FROM_BOUND, right)
    header = struct.pack("Ii", 0x20080522, 0)
    _call("capset", header, bytes(24))


def _end_as(pid: int, control: socket.socket) -> NoReturn:
    """Waits for the process `pid`, and for all else that ends here, and ends as it did."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
    control.close()
    while True:
        ended, status = os.waitpid(-1, 0)
        if ended == pid:
            break
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # the first process of a namespace cannot end by a signal
        os._exit(SIGNALLED + number)
    code = os.WEXITSTATUS(status)
    if code > SIGNALLED and os.getpid() != 1:
        os.kill(os.getpid(), code - SIGNALLED)
    os._exit(code)


SIGNALLED = 128
"""Exit codes beyond this one name the signal by which a process ended."""
