"""featuretools' primitives as SQL: what an aggregation is over the rows so far, and what a transform makes of a value.

In an aggregation `$v` and `$w` are columns of the rows, `own` is a row's own time, `o` its row number, `one` is 1 for each
row, and `seed_t` is the time at which the result is read. SQL's aggregates range over the rows so far. Besides them:

- `FIRST_OF(x)` is the x of the entity's first row that has one;
- `OCCURRENCE(x)` says how often x has occurred among the entity's rows up to this one;
- `FIRST_VALUE(x)` and `LAST_VALUE(x)` are of the rows so far in the order of their own times.
"""

from __future__ import annotations

SKIPS_NULLS = frozenset({"sum", "std", "max", "skew", "min", "mean", "num_unique", "mode", "median"})
"""Formulas for which a row whose value is still missing is like no row, but for the number of rows."""
ORDERED = frozenset({"first", "last", "trend", "time_since_last_value"})
"""Formulas that depend on the order of the rows' own times."""

ROWS = "COALESCE(SUM(one), 0)"
N = "COALESCE(COUNT($v), 0)"

# powers are of the value minus the entity's first one, so that their sums keep their digits
C = "($v - FIRST_OF($v))"
MEAN = f"(SUM({C}) / {N})"
SQUARES = f"(SUM({C} * {C}) - SUM({C}) * SUM({C}) / {N})"
CUBES = f"(SUM({C} * {C} * {C}) - 3 * {MEAN} * SUM({C} * {C}) + 2 * {N} * {MEAN} * {MEAN} * {MEAN})"

# how often and the reversed code as one number: its maximum is the smallest of the most frequent codes
MODE = "MAX(CASE WHEN $v IS NOT NULL THEN OCCURRENCE($v) * $codes + ($codes - 1 - $v) END)"

# how much Σ c log c over the counts c of each value, null among them, grows with a row
RISE = """(OCCURRENCE($v) * LN(OCCURRENCE($v))
    - CASE WHEN OCCURRENCE($v) > 1 THEN (OCCURRENCE($v) - 1) * LN(OCCURRENCE($v) - 1) ELSE 0 END)"""

# NaN for null, so that a missing value at the end is not passed over
BOXED = "COALESCE(CAST($v AS DOUBLE), CAST('NaN' AS DOUBLE))"
FIRST, LAST = (f"CASE WHEN NOT ISNAN({end}({BOXED})) THEN {end}({BOXED}) END" for end in ("FIRST_VALUE", "LAST_VALUE"))

# a regression of y on seconds x since the first row that has both
START = "FIRST_OF(CASE WHEN $v IS NOT NULL THEN $w END)"
BOTH = "$v IS NOT NULL AND $w IS NOT NULL"
X, Y = (f"CASE WHEN {BOTH} THEN {value} END" for value in (f"($w - {START}) / 1e9", C))
PAIRS = f"COALESCE(COUNT({X}), 0)"
COVARIANCE, VARIANCE = (f"(SUM({X} * {z}) - SUM({X}) * SUM({z}) / {PAIRS})" for z in (Y, X))
# a double holds nanoseconds to about 1e-7 seconds
SECONDS = f"CAST(FLOOR(MAX(CASE WHEN {BOTH} THEN {START} END) / 1e9 + 1e-6) AS BIGINT)"
PER = f"""CASE WHEN {SECONDS} % 86400 = 0 THEN 86400.0 WHEN {SECONDS} % 3600 = 0 THEN 3600.0
    WHEN {SECONDS} % 60 = 0 THEN 60.0 ELSE 1.0 END"""

FORMULAS = {
    "count": ROWS,
    "sum": "COALESCE(SUM($v), 0)",
    "mean": f"CASE WHEN {N} > 0 THEN SUM($v) / {N} END",
    "min": "MIN($v)",
    "max": "MAX($v)",
    "median": "MEDIAN($v)",
    "std": f"CASE WHEN {N} > 1 THEN SQRT(GREATEST({SQUARES}, 0.0) / ({N} - 1)) END",
    # pandas' bias-free skewness, 0 where a moment is smaller than 1e-14 as there
    "skew": f"""CASE WHEN {N} > 2 THEN CASE WHEN {SQUARES} < 1e-14 OR ABS({CUBES}) < 1e-14 THEN 0.0
        ELSE {N} * SQRT({N} - 1) / ({N} - 2) * ({CUBES} / POWER({SQUARES}, 1.5)) END END""",
    "percent_true": f"CASE WHEN {ROWS} > 0 THEN SUM(COALESCE($v, 0)) / {ROWS} END",
    "num_unique": f"""CASE WHEN {ROWS} > 0 THEN
        SUM(CASE WHEN $v IS NOT NULL AND OCCURRENCE($v) = 1 THEN 1 ELSE 0 END) END""",
    "mode": f"$codes - 1 - ({MODE} - FLOOR({MODE} / $codes) * $codes)",
    "entropy": f"CASE WHEN {ROWS} > 0 THEN LN({ROWS}) - SUM({RISE}) / {ROWS} END",
    "first": FIRST,
    "last": LAST,
    "time_since_last": "(seed_t - MAX(own)) / 1e9 / $unit",
    "time_since_last_value": f"(seed_t - {LAST}) / 1e9 / $unit",
    "avg_time_between": f"CASE WHEN {N} > 1 THEN (MAX($v) - MIN($v)) / ({N} - 1) / 1e9 / $unit END",
    # the slope per day, hour, minute or second, whichever divides the first time, as in featuretools
    "trend": f"""CASE WHEN {PAIRS} > 2 THEN
        CASE WHEN MIN({X}) = MAX({X}) THEN 0.0 ELSE ({COVARIANCE} / {VARIANCE}) * {PER} END END""",
}
"""Aggregation primitive → its value over the rows so far."""

MOMENT = "MAKE_TIMESTAMP(CAST($x AS BIGINT) // 1000)"
WORD = "[^ \\n\\t]*[^ \\n\\t!-/:-@\\[-`{-~][^ \\n\\t]*"
"""A word as featuretools counts them: between blanks, and not of punctuation alone."""
DATE_PARTS = {
    "year": f"CAST(YEAR({MOMENT}) AS DOUBLE)",
    "month": f"CAST(MONTH({MOMENT}) AS DOUBLE)",
    "day": f"CAST(DAY({MOMENT}) AS DOUBLE)",
    "weekday": f"CAST(WEEKDAY_FROM_MONDAY({MOMENT}) AS DOUBLE)",
}
TRANSFORMS = {
    **DATE_PARTS,
    # a row that is not there has no flag, as featuretools joins flags of rows that are
    "is_null": "CASE WHEN $row IS NOT NULL THEN CASE WHEN ($x) IS NULL THEN 1.0 ELSE 0.0 END END",
    "num_characters": "CAST(LENGTH($x) AS DOUBLE)",
    "num_words": f"CASE WHEN $x IS NOT NULL THEN CAST(ARRAY_LENGTH(REGEXP_EXTRACT_ALL($x, '{WORD}')) AS DOUBLE) END",
    "age": "FLOOR((s.t - ($x)) / 864e11) / 365",
}
"""Transform primitive → its value of `$x`, a value of the row numbered `$row`, as of the seed's time `s.t`."""
