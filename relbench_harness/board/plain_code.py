"""Code without what is written for readers alone, so that its compressed size says how much it says and not how it is laid out.

Invariant: comments, docstrings, blank lines and, in Python, the choice of layout change nothing.
"""

from __future__ import annotations

import ast
import gzip


def gzip_bytes(code: str) -> int:
    """What gzip at its best makes of `code`, in bytes."""
    return len(gzip.compress(code.encode("utf-8"), compresslevel=9, mtime=0)) if code else 0


def plain_python(text: str) -> str:
    """Python source as its syntax tree is written, without docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if is_documented(node):
            node.body = node.body[1:]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def is_documented(node: ast.AST) -> bool:
    """Whether `node` begins with a docstring."""
    if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or not node.body:
        return False
    first = node.body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def plain_lexed(text: str, language: str) -> str:
    """SQL or YAML without comments and blank lines."""
    from pygments.lexers import get_lexer_by_name
    from pygments.token import Comment

    kept = "".join(
        value for kind, value in get_lexer_by_name(language, stripnl=False).get_tokens(text) if kind not in Comment
    )
    return "\n".join(line.rstrip() for line in kept.splitlines() if line.strip())
