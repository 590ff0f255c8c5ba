"""Text of methods, tasks and errors as every medium can show it: an error may hold a terminal's commands or half a character."""

from __future__ import annotations


def printable(text: str) -> str:
    """`text` without signs that no medium shows; ends of lines and tabs stay."""
    return "".join(sign if sign.isprintable() or sign in "\n\t" else " " if sign.isspace() else "\ufffd" for sign in text)


def one_line(text: str) -> str:
    """`printable`, ends of lines and tabs as blanks."""
    return printable(text).replace("\n", " ").replace("\t", " ")
