"""The leaderboard of a folder with all that is known of it on this machine.

Invariant: the terminal, the page of a published board and the site show the same columns, since all three are made here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from relbench_harness.board.leaderboard import leaderboard
from relbench_harness.board.normalised import with_normalised
from relbench_harness.data.names import truth_may_be_known
from relbench_harness.protocol.audit.report import AuditReport
from relbench_harness.protocol.result import Result

if TYPE_CHECKING:
    from relbench_harness.board.published import PublishedRow


@dataclass(frozen=True)
class View:
    """What a reader chooses.

    Attributes:
        against: The method that the others are compared with; None for the best of each ranking.
        anchor: The method in multiples of whose seconds all are given, too.
        intervals: Whether intervals and differences are made, which takes seconds where predictions are stored.
        missing: Is called with a sentence for each reason why there are none.
    """

    against: str | None = None
    anchor: str | None = None
    intervals: bool = True
    missing: Callable[[str], None] = lambda _: None


def full_board(
    folder: Path,
    results: Sequence[Result],
    reports: Iterable[AuditReport] = (),
    published: Iterable[PublishedRow] = (),
    view: View | None = None,
) -> pd.DataFrame:
    """The leaderboard of `results` with best possible scores, intervals, differences and normalised scores where they are known.

    Args:
        folder: Where the results and their predictions lie.

    Raises:
        InputError: There is no method with the name of the view's `against` or `anchor`.
    """
    view = view or View()
    table = leaderboard(results, reports, view.anchor)
    if any(map(truth_may_be_known, {result.task for result in results})):
        from relbench_harness.board.ceiling import with_ceilings

        table = with_ceilings(table)
    if (view.intervals and any(result.predictions for result in results)) or view.against is not None:
        from relbench_harness.board.uncertainty import row_resamples, with_uncertainty

        known = row_resamples(folder, results, missing=view.missing)
        table = with_uncertainty(table, folder, results, view.against, known=known)
    return with_normalised(table, published)
