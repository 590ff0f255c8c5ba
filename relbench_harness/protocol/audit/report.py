"""What an audit found, as a value that outlives the process: one finding for each check, and what was audited.

Invariant: a report has no key `status`, so a file that holds one is never taken for the result of a run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from relbench_harness.errors import InputError

Verdict = Literal["passed", "failed", "not applicable"]
Figure = float | int | str
SCHEMA = 1


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        evidence: One sentence.
        figures: The numbers behind it.
    """

    check: str
    verdict: Verdict
    evidence: str
    figures: Mapping[str, Figure] = field(default_factory=dict)


@dataclass(frozen=True)
class AuditReport:
    """A method on a task in a regime, and every finding about it.

    Attributes:
        fit_on: Labels that the method learned from: `train` or `train+val`.
        config: The method's complete configuration, without the guard that a run puts around it.
        budget: What each fit may use, its seed as well.
        code: A digest of the method's files.
        examples: How many examples the audit used: `training`, `validation`, `answered`.
        started: UTC, ISO 8601.
        seconds: Wall seconds of the whole audit.
    """

    task: str
    method: str
    regime: str
    config: Mapping[str, Any]
    budget: Mapping[str, Any]
    dataset_fingerprint: str
    code: str
    examples: Mapping[str, int]
    findings: tuple[Finding, ...]
    started: str
    seconds: float
    schema: int = SCHEMA
    fit_on: str = "train"

    @property
    def verdict(self) -> Literal["passed", "failed", "not run"]:
        """`not run` where no check could be made, as on a task that the method refuses."""
        if self.failed:
            return "failed"
        return "passed" if any(finding.verdict == "passed" for finding in self.findings) else "not run"

    @property
    def failed(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.verdict == "failed")

    @property
    def passed(self) -> bool:
        """Whether no check failed and at least one could be made."""
        return self.verdict == "passed"

    def to_json(self) -> str:
        """Strict JSON; undefined numbers are null."""
        return json.dumps(_plain(asdict(self)), sort_keys=True, allow_nan=False, default=str, indent=1)

    @classmethod
    def from_json(cls, text: str, where: str = "audit report") -> AuditReport:
        """The report that `text` holds. Raises `InputError`, which names `where`, for anything else."""
        try:
            loaded = json.loads(text)
            loaded.setdefault("fit_on", "train")
            known = {entry.name: loaded[entry.name] for entry in fields(cls)}
            known["findings"] = tuple(Finding(**finding) for finding in known["findings"])
            odd = [finding.verdict for finding in known["findings"] if finding.verdict not in get_args(Verdict)]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise InputError(f"{where} is no audit report of this version: {type(error).__name__} {error}") from None
        if odd or known["schema"] != SCHEMA:
            raise InputError(f"{where} is no audit report of this version")
        return cls(**known)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value
