"""The operations of a query in SQL, given the SQL of their operands."""

from __future__ import annotations

from relbench_harness.authoring.predictive_query import Expression, Operation

_PATTERNS = {"contains": "contains", "starts_with": "starts_with", "ends_with": "ends_with"}


def bracketed(expression: Expression, sql: str) -> str:
    """`sql` of `expression` so that it can stand in a conjunction."""
    return f"({sql})" if isinstance(expression, Operation) and expression.operator == "OR" else sql


def operation(expression: Operation, parts: list[str]) -> str:
    operator = expression.operator
    wrapped = [f"({p})" if isinstance(o, Operation) else p for p, o in zip(parts, expression.operands, strict=True)]
    if operator == "NOT":
        return f"NOT ({parts[0]})"
    if operator == "minus":
        return f"-{wrapped[0]}"
    if operator in ("within", "not_within"):
        return f"{wrapped[0]} {'NOT ' if operator == 'not_within' else ''}IN ({', '.join(parts[1:])})"
    if operator in ("is_null", "is_not_null"):
        return f"{wrapped[0]} IS {'NOT ' if operator == 'is_not_null' else ''}NULL"
    if operator in ("like", "not_like"):
        return f"{wrapped[0]} {'NOT ' if operator == 'not_like' else ''}LIKE {parts[1]}"
    if operator in _PATTERNS:
        return f"{_PATTERNS[operator]}({parts[0]}, {parts[1]})"
    if operator == "/":
        # a ratio over nobody has no value, rather than NaN or infinity
        return f"{wrapped[0]} / NULLIF({parts[1]}, 0)"
    return f" {operator} ".join(wrapped)
