"""What the files of pages are called: names of tasks and methods may hold any sign, file names may not.

Invariant: different names give different files, also where a file system does not tell capitals apart, and a file name holds
nothing but small letters, digits, `-`, `_` and `.`.
"""

from __future__ import annotations

import hashlib
import re

PLAIN = re.compile(r"[a-z0-9](?:[a-z0-9.-]|_(?!_)){0,78}[a-z0-9]|[a-z0-9]")
DIGESTED = re.compile(r".*-[0-9a-f]{8}")
RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?")
"""Names that Windows keeps for devices."""


def page_name(name: str) -> str:
    """The file of the page about `name`, without its folder: `rel-f1/driver-dnf` gives `rel-f1__driver-dnf.html`."""
    parts = name.split("/")
    if len(parts) <= 2 and all(PLAIN.fullmatch(part) and not DIGESTED.fullmatch(part) for part in parts):
        joined = "__".join(parts)
        if not RESERVED.fullmatch(joined):
            return f"{joined}.html"
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    # the digest tells names apart; what stands before it is for readers
    readable = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60].strip("-") or "page"
    return f"{readable}-{digest}.html"
