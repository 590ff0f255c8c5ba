"""Fork servers of this process: started when a run needs one, kept for later runs of the same kind, ended with this process.

Runs of one kind (method classes, environment, whether sealed) share a server, which has loaded what such runs load; so a run's
memory does not depend on which other methods ran before. Invariant: a server does one run at a time, and is used only by the
process that started it.
"""

from __future__ import annotations

import atexit
import json
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from relbench_harness.data.cache import KERNELS, kernels_home
from relbench_harness.protocol.fork_server import PACKET, PATIENCE
from relbench_harness.protocol.process_tree import MARK, descendants, kill, marked

MOST_IDLE = 3
"""Servers that are kept for later runs."""
START = "import json, sys; sys.path[:] = json.loads(sys.argv[1]); from relbench_harness.protocol.fork_server import main; \
main(int(sys.argv[2]), json.loads(sys.argv[3]))"
CHANGING = ("PYTEST_", "WANDB_", "_WANDB")
"""How variables of the environment begin that change from run to run and mean nothing to a method."""


class ServerGoneError(Exception):
    """A fork server has ended, whatever the reason."""


@dataclass(frozen=True)
class Kind:
    """What a server is good for.

    Attributes:
        modules: Modules of the method's classes; those of the harness itself are loaded before the first run.
        environment: What its processes get.
    """

    modules: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]


@dataclass
class Server:
    """A fork server as seen from the harness."""

    kind: Kind
    mark: str = field(default_factory=lambda: secrets.token_hex(8))
    loaded: set[str] = field(default_factory=set)
    owner: int = field(default_factory=os.getpid)

    def __post_init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            path = json.dumps(module_path())
            modules = json.dumps([name for name in self.kind.modules if name.startswith("relbench_harness.")])
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, path, str(theirs.fileno()), modules],
                env={**dict(self.kind.environment), MARK: self.mark},
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    def say(self, message: Mapping[str, Any], *handles: int) -> None:
        """Raises `ServerGoneError` where nobody hears it."""
        try:
            socket.send_fds(self.socket, [json.dumps(message).encode()], list(handles))
        except OSError as error:
            raise ServerGoneError(str(error)) from None

    def hear(self, seconds: float) -> dict[str, Any] | None:
        """The next message; None where there is none for so long.

        Raises:
            ServerGoneError: There will be none.
        """
        self.socket.settimeout(max(seconds, 0.001))
        try:
            packet = self.socket.recv(PACKET)
        except TimeoutError:
            return None
        except OSError as error:
            raise ServerGoneError(str(error)) from None
        if not packet:
            raise ServerGoneError("a fork server has ended")
        return dict(json.loads(packet))

    def learn(self, modules: Iterable[str]) -> None:
        """Loads modules for later runs, while nobody waits for it."""
        new = sorted(set(modules) - self.loaded)
        self.loaded.update(new)
        while new:
            self.say({"preload": new[:200]})
            new = new[200:]

    def below(self) -> list[int]:
        """The processes of this server that are left, wherever they hide."""
        pids = set(descendants(self.process.pid)) | set(marked(self.mark))
        return sorted(pids - {self.process.pid})

    @property
    def is_usable(self) -> bool:
        return self.owner == os.getpid() and self.process.poll() is None

    def close(self) -> None:
        """Ends the server and all below it."""
        if self.owner != os.getpid():
            return
        self.socket.close()
        if self.below():
            with suppress(subprocess.TimeoutExpired):
                # it kills what is below it first
                self.process.wait(PATIENCE + 0.5)
        self.process.kill()
        self.process.wait()
        kill(self.below())


_idle: list[Server] = []
_lock = threading.Lock()


def environment_of(sealed: bool) -> tuple[tuple[str, str], ...]:
    """The variables that a run's process gets; a sealed one gets none that may hold a secret or name a folder of data."""
    if sealed:
        kernels = kernels_home()
        named = {} if kernels is None else {KERNELS: str(kernels)}
        kept = {name: value for name, value in os.environ.items() if name in PLAIN or name.startswith(HARMLESS)}
        return tuple(sorted({**kept, **named}.items()))
    return tuple(sorted((k, v) for k, v in os.environ.items() if not k.startswith(CHANGING)))


PLAIN = frozenset({"PATH", "LANG", "LANGUAGE", "TZ", "LD_LIBRARY_PATH", "JAVA_HOME", "VIRTUAL_ENV"})
HARMLESS = (
    "LC_",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "NUMBA_",
    "NUMEXPR_",
    "CUDA_",
    "NVIDIA_",
    "PYTHON",
    "TORCH_",
    "GOMP_",
    "KMP_",
)


def module_path() -> list[str]:
    """Where this process looks for modules, the folder it is in by its name."""
    return [entry or str(Path.cwd()) for entry in sys.path]


@contextmanager
def borrowed(kind: Kind) -> Iterator[Server]:
    """A server of this kind for one run, an idle one where there is one; kept afterwards if it is as it should be."""
    server = _taken(kind) or Server(kind)
    whole = False
    try:
        yield server
        whole = server.is_usable
    finally:
        if whole:
            _keep(server)
        else:
            server.close()


def prepare(kind: Kind) -> None:
    """Starts a server of this kind where none is idle."""
    with _lock:
        if any(one.kind == kind for one in _idle):
            return
    _keep(Server(kind))


def _taken(kind: Kind) -> Server | None:
    with _lock:
        for server in [one for one in _idle if one.kind == kind]:
            _idle.remove(server)
            if server.is_usable:
                return server
    return None


def _keep(server: Server) -> None:
    with _lock:
        _idle.append(server)
        over = _idle[:-MOST_IDLE]
        del _idle[:-MOST_IDLE]
    for one in over:
        one.close()


@atexit.register
def close_all() -> None:
    """Ends all servers that no run uses."""
    with _lock:
        idle, _idle[:] = list(_idle), []
    for server in idle:
        server.close()


def waited(server: Server, seconds: float) -> dict[str, Any] | None:
    """What the server says within so many seconds, looked for until then; None where it says nothing or has gone."""
    until = time.monotonic() + seconds
    with suppress(ServerGoneError):
        while time.monotonic() < until:
            if (message := server.hear(until - time.monotonic())) is not None:
                return message
    return None
