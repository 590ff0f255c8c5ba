"""Python files that are loaded by path: the `build.py` of a dataset is no module of a package.

Invariant: a file that was edited since it was loaded is read anew, and may import its neighbours relatively.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType


def load_script(path: Path) -> ModuleType:
    """The Python file at `path` as a package of its own, so that it may import its neighbours relatively."""
    name = "_dataset_" + re.sub(r"\W", "_", path.parent.name)
    name += hashlib.blake2b(str(path).encode(), digest_size=4).hexdigest()
    spec = importlib.util.spec_from_file_location(name, path, submodule_search_locations=[str(path.parent)])
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    for loaded in [m for m in sys.modules if m == name or m.startswith(f"{name}.")]:
        # a file that was edited since is read anew
        del sys.modules[loaded]
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
