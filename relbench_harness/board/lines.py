"""Lines of code behind a method, three numbers with the files they come from: task, method and harness.

Logical lines leave out blanks, comments and docstrings. Tokens stand beside them because no formatter can change them:
round brackets, commas, semicolons and the cutting of a string into adjacent pieces do not count.
"""

from __future__ import annotations

import ast
import hashlib
import io
import json
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

from relbench_harness.board.method_files import method_files
from relbench_harness.data.cache import cache_home
from relbench_harness.data.writing import write_whole
from relbench_harness.errors import InputError
from relbench_harness.home import home

LEXERS = {".sql": "postgresql", ".yaml": "yaml", ".yml": "yaml"}
_LAYOUT = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENCODING, tokenize.ENDMARKER),
    *(tokenize.INDENT, tokenize.DEDENT),
}
_LOOSE = frozenset("(),;")


@dataclass(frozen=True)
class Count:
    """Logical lines and tokens of some files.

    Attributes:
        files: Their names, relative to the repository or package where they lie in it.
    """

    files: tuple[str, ...] = ()
    lines: int = 0
    tokens: int = 0

    def __add__(self, other: Count) -> Count:
        return Count((*self.files, *other.files), self.lines + other.lines, self.tokens + other.tokens)


def count_file(path: Path) -> Count:
    """The count of one Python, SQL or YAML file. Raises `InputError` for any other kind."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        lines, tokens = count_python(text)
    elif path.suffix in LEXERS:
        lines, tokens = count_lexed(text, LEXERS[path.suffix])
    else:
        raise InputError(f"lines of {path} cannot be counted; known kinds are .py, {', '.join(LEXERS)}")
    return Count((_shown(path),), lines, tokens)


def count_python(text: str) -> tuple[int, int]:
    """Logical lines and tokens of Python source."""
    documented = _docstring_lines(ast.parse(text))
    lines = tokens = 0
    before: int | None = None
    for kind, string, line in _python_tokens(text):
        if line in documented and kind in (tokenize.STRING, tokenize.NEWLINE):
            continue
        if kind == tokenize.NEWLINE:
            lines += 1
        if kind not in _LAYOUT and string not in _LOOSE and not (kind == before == tokenize.STRING):
            tokens += 1
        if kind not in _LAYOUT or kind == tokenize.NEWLINE:
            before = kind
    return lines, tokens


def _python_tokens(text: str) -> Iterator[tuple[int, str, int]]:
    """(kind, text, last line) of every token; an f-string is one string in every Python version."""
    opening, closing = getattr(tokenize, "FSTRING_START", None), getattr(tokenize, "FSTRING_END", None)
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == opening:
            depth += 1
        elif token.type == closing and (depth := depth - 1) == 0:
            yield tokenize.STRING, token.string, token.end[0]
        elif not depth:
            yield token.type, token.string, token.end[0]


def _docstring_lines(tree: ast.AST) -> set[int]:
    """The last lines of docstrings; each holds the string's end and, unless code follows by semicolon, nothing else."""
    ends = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                ends.add(first.end_lineno or 0)
    return ends


def count_lexed(text: str, language: str) -> tuple[int, int]:
    """Lines that hold more than comments, and tokens, of SQL or YAML."""
    from pygments.lexers import get_lexer_by_name
    from pygments.token import Comment, Punctuation, Text

    lines: set[int] = set()
    tokens, line = 0, 1
    for kind, value in get_lexer_by_name(language, stripnl=False).get_tokens(text):
        if kind not in Comment and kind not in Text and value.strip():
            lines.update(line + i for i, part in enumerate(value.split("\n")) if part.strip())
            tokens += not (kind in Punctuation and set(value) <= _LOOSE)
        line += value.count("\n")
    return len(lines), tokens


# -- which files ----------------------------------------------------------------------------------------------------------


def count_method(classes: str | Iterable[str]) -> Count:
    """The files of the classes that the dotted names `classes` name, and those they import from their own package.

    A class in the harness's shared package has no lines of its own: they count as harness.
    """
    return _total(method_files([classes] if isinstance(classes, str) else classes))


def count_harness() -> Count:
    """The shared package, equal for all methods: neither baselines nor datasets nor configs."""
    return _harness()


@cache
def _harness() -> Count:
    own = [home(part) for part in ("baselines", "configs", "datasets")]
    package = Path(__file__).resolve().parent.parent
    files = sorted(p for p in package.rglob("*.py") if not any(p.is_relative_to(folder) for folder in own))
    return _remembered(files)


def _remembered(files: Sequence[Path]) -> Count:
    """The count of `files`, kept in the cache under a digest of their content: counting reads every token."""
    state = hashlib.blake2b(digest_size=16)
    for path in files:
        content = path.read_bytes()
        state.update(f"{_shown(path)} {len(content)} ".encode() + content)
    kept = cache_home() / "lines" / f"{state.hexdigest()}.json"
    try:
        known = json.loads(kept.read_text(encoding="utf-8"))
        return Count(tuple(known["files"]), int(known["lines"]), int(known["tokens"]))
    except (OSError, ValueError, KeyError, TypeError):
        counted = _total(files)
    with suppress(OSError):
        write_whole(kept, json.dumps(asdict(counted)))
    return counted


def count(config: Mapping[str, Any], task_files: Iterable[Path] = (), overrides: Iterable[str] = ()) -> dict[str, Any]:
    """What stands in a result as `lines`: `task`, `method` and `harness`, with `tokens` and `files` beside them.

    Args:
        config: A method's config as composed; every `_target_` in it counts.
        task_files: Files written for this task alone; SQL and YAML files that the config names are added.
        overrides: Hyperparameters given for this task alone, `key=value`; each is a line.
    """
    written = {Path(file) for file in task_files} | set(named_files(config))
    given = tuple(overrides)
    task = _total(written) + Count(given, len(given), sum(_override_tokens(o) for o in given))
    counts = {"task": task, "method": count_method(targets_of(config)), "harness": count_harness()}
    return {
        **{name: count.lines for name, count in counts.items()},
        "tokens": {name: count.tokens for name, count in counts.items()},
        "files": {name: list(count.files) for name, count in counts.items() if name != "harness"},
    }


def _override_tokens(override: str) -> int:
    key, _, value = override.partition("=")
    return count_lexed(f"{key}: {value}", "yaml")[1]


def _total(files: Iterable[Path]) -> Count:
    return sum((count_file(path) for path in sorted(files)), Count())


def targets_of(config: Any) -> Iterator[str]:
    """Every `_target_` in a config, at whatever depth."""
    if isinstance(config, Mapping):
        if isinstance(config.get("_target_"), str):
            yield config["_target_"]
        config = list(config.values())
    if isinstance(config, list | tuple):
        for value in config:
            yield from targets_of(value)


def named_files(config: Any) -> Iterator[Path]:
    """The SQL and YAML files that a config names and that are there."""
    if isinstance(config, Mapping | list | tuple):
        for value in config.values() if isinstance(config, Mapping) else config:
            yield from named_files(value)
    elif isinstance(config, str | Path) and Path(config).suffix in LEXERS and Path(config).is_file():
        yield Path(config)


def _shown(path: Path) -> str:
    for root in (home("baselines").parent, Path(__file__).resolve().parent.parent.parent):
        if path.resolve().is_relative_to(root):
            return path.resolve().relative_to(root).as_posix()
    return path.name
