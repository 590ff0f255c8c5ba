"""A process that has loaded the packages of a method and does nothing but fork: each child is one run.

It is started by `exec`, so no memory of the harness is in it: no label, no connection, no open file. It never uses a GPU and
starts no thread of its own, so that its children may. Invariant: it adopts what its children leave behind, and once a run has
ended, or the harness has, no process below it is left.

Messages are packets of JSON on one socket. From the harness: `{"preload": [module]}`, `{"run": folder}` with the two ends that
the child speaks on, `{"end": true}`. To the harness: `{"ended": wait status, "cpu": seconds, "clean": all are gone}`.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from relbench_harness.protocol.process_tree import SUBREAPER, descendants, kill, prctl

PACKET = 1 << 16
"""Bytes of the longest message."""
TICK = 0.01
"""Seconds between two looks at a run's process."""
PATIENCE = 2.5
"""Seconds to wait for killed processes."""


@dataclass
class ForkServer:
    """One run at a time.

    Attributes:
        harness: The socket to the harness; its end is the end of this process.
        child: The process of the run in progress.
    """

    harness: socket.socket
    child: int | None = None
    status: int = 0
    cpu_before: float = 0.0

    def serve(self) -> None:
        """Until the harness has gone."""
        while True:
            if select.select([self.harness], [], [], None if self.child is None else TICK)[0]:
                packet, handles, _, _ = socket.recv_fds(self.harness, PACKET, 2)
                if not packet:
                    self._kill_all()
                    return
                self._act(json.loads(packet), handles)
            self._reap()

    def _act(self, message: dict[str, Any], handles: list[int]) -> None:
        for name in message.get("preload", ()):
            # what is missing here, the child will miss as well, and say so
            with suppress(Exception):
                importlib.import_module(name)
        if "run" in message:
            self.cpu_before = _cpu_of_children()
            own = os.getpid()
            self.child = os.fork()
            if self.child == 0:
                self.harness.close()
                _become_child(Path(message["run"]), handles, own)
            for handle in handles:
                os.close(handle)
        if "end" in message and self.child is not None:
            kill([self.child])

    def _reap(self) -> None:
        """Takes note of processes that have ended; with that of the run, all that it left behind."""
        if self.child is None or not self._wait():
            return
        clean = self._kill_all()
        self.child = None
        cpu = _cpu_of_children() - self.cpu_before
        self.harness.send(json.dumps({"ended": self.status, "cpu": cpu, "clean": clean}).encode())

    def _wait(self) -> bool:
        """Whether the run's own process is among those that have ended since."""
        found = False
        with suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self.child:
                    found, self.status = True, ended[1]
        return found

    def _kill_all(self) -> bool:
        """Kills every process below this one, those that are started meanwhile too; whether all are gone."""
        until = time.monotonic() + PATIENCE
        while below := descendants(os.getpid()):
            kill(below)
            self._wait()
            if time.monotonic() > until:
                return False
            time.sleep(0.002)
        return True


def _become_child(folder: Path, handles: list[int], server: int) -> NoReturn:
    try:
        from relbench_harness.protocol import child

        child.main(folder, handles[0], handles[1], server)
    finally:
        os._exit(70)


def _cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main(handle: int, modules: list[str]) -> None:
    """The server's own life: `handle` is its end of the socket, `modules` are loaded at once."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    prctl(SUBREAPER, 1)
    server = ForkServer(socket.socket(fileno=handle))
    server._act({"preload": ["relbench_harness.protocol.child", *modules]}, [])
    server.serve()
    sys.exit(0)
