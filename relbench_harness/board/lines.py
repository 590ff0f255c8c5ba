"""Lines of code behind a method, three numbers with the files they come from: task, method and harness.

Logical lines leave out blanks, comments and docstrings. Tokens stand beside them because no formatter can change them:
round brackets, commas, semicolons and the cutting of a string into adjacent pieces do not count. Bytes of gzip say how much
there is to write that is not repetition; each file is compressed by itself, so that files add up.
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
from relbench_harness.board.plain_code import gzip_bytes, is_documented, plain_lexed, plain_python
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
    """Logical lines, tokens and bytes of gzip of some files.

    Attributes:
        files: Their names, relative to the repository or package where they lie in it.
    """

    files: tuple[str, ...] = ()
    lines: int = 0
    tokens: int = 0
    gzip: int = 0

    def __add__(self, other: Count) -> Count:
        numbers = self.lines + other.lines, self.tokens + other.tokens, self.gzip + other.gzip
        return Count((*self.files, *other.files), *numbers)


def count_file(path: Path) -> Count:
    """The count of one Python, SQL or YAML file. Raises `InputError` for any other kind."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        (lines, tokens), plain = count_python(text), plain_python(text)
    elif path.suffix in LEXERS:
        (lines, tokens), plain = count_lexed(text, LEXERS[path.suffix]), plain_lexed(text, LEXERS[path.suffix])
    else:
        raise InputError(f"lines of {path} cannot be counted; known kinds are .py, {', '.join(LEXERS)}")
    return Count((_shown(path),), lines, tokens, gzip_bytes(plain))


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
    return {node.body[0].end_lineno or 0 for node in ast.walk(tree) if is_documented(node)}  # type: ignore[attr-defined]


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
    return sum(by_file(method_files([classes] if isinstance(classes, str) else classes)), Count())


def count_harness() -> Count:
    """The shared package, equal for all methods: neither baselines nor datasets nor configs."""
    return sum(count_harness_files(), Count())


@cache
def count_harness_files() -> tuple[Count, ...]:
    """The count of each file that `count_harness` adds up."""
    own = [home(part) for part in ("baselines", "configs", "datasets")]
    package = Path(__file__).resolve().parent.parent
    return _remembered(sorted(p for p in package.rglob("*.py") if not any(p.is_relative_to(folder) for folder in own)))


def _remembered(files: Sequence[Path]) -> tuple[Count, ...]:
    """The count of each of `files`, kept in the cache under a digest of their content: counting reads every token."""
    state = hashlib.blake2b(digest_size=16)
    for path in files:
        content = path.read_bytes()
        state.update(f"{_shown(path)} {len(content)} ".encode() + content)
    kept = cache_home() / "lines" / f"{state.hexdigest()}.json"
    try:
        known = json.loads(kept.read_text(encoding="utf-8"))
        return tuple(
            Count((str(one["files"][0]),), int(one["lines"]), int(one["tokens"]), int(one["gzip"])) for one in known
        )
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        counted = tuple(by_file(files))
    with suppress(OSError):
        write_whole(kept, json.dumps([asdict(one) for one in counted]))
    return counted


def count(config: Mapping[str, Any], task_files: Iterable[Path] = (), overrides: Iterable[str] = ()) -> dict[str, Any]:
    """What stands in a result as `lines`: `task`, `method` and `harness`, with `tokens`, `gzip` and `files` beside them.

    Args:
        config: A method's config as composed; every `_target_` in it counts.
        task_files: Files written for this task alone; SQL and YAML files that the config names are added.
        overrides: Hyperparameters given for this task alone, `key=value`; each is a line.
    """
    task = sum(by_file(written_files(config, task_files)), Count()) + sum(map(count_override, overrides), Count())
    counts = {"task": task, "method": count_method(targets_of(config)), "harness": count_harness()}
    return {
        **{name: count.lines for name, count in counts.items()},
        "tokens": {name: count.tokens for name, count in counts.items()},
        "gzip": {name: count.gzip for name, count in counts.items()},
        "files": {name: list(count.files) for name, count in counts.items() if name != "harness"},
    }


def count_override(override: str) -> Count:
    """A hyperparameter given for one task alone, `key=value`, counts as a line of YAML."""
    key, _, value = override.partition("=")
    line = f"{key}: {value}"
    return Count((override,), 1, count_lexed(line, "yaml")[1], gzip_bytes(line))


def written_files(config: Mapping[str, Any], task_files: Iterable[Path]) -> set[Path]:
    """The files written for a task alone: those given, and the SQL and YAML files that the config names."""
    return {Path(file) for file in task_files} | set(named_files(config))


def by_file(files: Iterable[Path]) -> list[Count]:
    """The count of each file, in the order of their paths."""
    return [count_file(path) for path in sorted(files)]


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
