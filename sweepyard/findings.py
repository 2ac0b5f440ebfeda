"""How the terminal shows what a model makes of a sweep: the run to use, and which parameters matter."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from sweepyard.tables import plain
from sweepyard.views import Importances, MetricView, Recommendation
from sweepyard.wording import number, short


def recommended(found: Recommendation, metric: MetricView) -> RenderableType:
    """Which run to use if it is not the best one observed, and why; a line in any case."""
    run, best = found.recommended, found.best
    if run is None or best is None:
        return plain(found.reason)
    if run.number == best.number:
        return plain(f"Use it: {found.reason}.")
    belief = f"{metric.name} {number(found.mean)} ± {number(found.std, 2)}"
    return plain(f"Use run {run.number} rather: {belief} by the model ({found.reason}): {short(run.params)}")


def importance(found: Importances) -> RenderableType:
    """A bar for each parameter, and how sure that is."""
    if not found.parameters:
        return plain(found.verdict)
    table = _table("parameter", "importance", "", "by chance", "runs")
    for one in found.parameters:
        bar = Text("█" * round(30 * one.share), style="blue")
        table.add_row(plain(one.name), f"{one.share:.0%}", bar, _chance(one.chance), str(one.runs))
    return Group(plain(f"what matters for {found.metric.name}", style="bold"), table, plain(found.verdict))


def _chance(chance: float) -> str:
    return f"1 in {round(1 / chance)}" if chance <= 0.1 else f"{chance:.0%}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for name in columns:
        table.add_column(Text(name), no_wrap=name != "parameters")
    return table
