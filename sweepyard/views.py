"""What the service answers: the shapes that API, commands and SDK agree on.

Times are seconds since 1970-01-01 UTC (`_at`). Numbers that are not finite appear as the texts "NaN",
"Infinity" and "-Infinity".
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from sweepyard.tracking.records import (
    Action,
    AgentOrder,
    AgentState,
    AttemptState,
    Goal,
    Middle,
    Order,
    Outcome,
    Role,
    RunState,
    Summary,
    SweepState,
)


class View(BaseModel):
    """An answer. Unknown fields are skipped: a newer service may say more.

    `defer_build`: a command needs one or two of all these, and each costs a start some milliseconds.
    """

    model_config = ConfigDict(frozen=True, from_attributes=True, ser_json_inf_nan="strings", defer_build=True)


class MetricView(View):
    name: str
    goal: Goal
    target: float | None = Field(None, description="The sweep finishes when a run reaches it.")
    summary: Summary | None = Field(None, description="What a run's values are summed up to; null: the best one.")


class RunView(View):
    """One parameter point and how it went."""

    id: str
    number: int = Field(description="Counts from 1 within the sweep.")
    repeat_of: int | None = Field(None, description="The number of the run whose point this one tries again.")
    name: str
    state: RunState
    state_reason: str = Field(description="Why it is in this state.")
    attempt: int = Field(description="The present attempt, counted from 1.")
    order: Order | None = Field(description="What the controller wants of it, if anything.")
    order_reason: str
    params: dict[str, Any] = Field(description="What was proposed; never changes.")
    reason: str = Field(description="Why this point was proposed.")
    spec_version: int = Field(description="The version of the sweep's spec when it was proposed.")
    outside: bool = Field(description="Whether it is no point of the sweep's space as that is now.")
    config: dict[str, Any] = Field(description="What the user's code added.")
    summary: dict[str, Any] = Field(description="The last value of everything logged.")
    objective: float | None = Field(description="The sweep's metric, summed up as its `summary` says.")
    steps: int = Field(description="How many finite values of the sweep's metric the present attempt has.")
    lines: int = Field(description="Rows in its history, over all attempts.")
    created_at: float
    started_at: float | None
    ended_at: float | None


class PointView(View):
    """One point of a sweep with repeats, all of whose runs have a value."""

    params: dict[str, Any] = Field(description="What its runs have in common: all but the seed.")
    value: float = Field(description="What the objectives of its runs are summed up to.")
    objective: Middle = Field(description="How they are summed up.")
    spread: float = Field(description="Their standard deviation; 0 for one alone.")
    runs: list[int] = Field(description="The numbers of its runs.")


class FrontRun(RunView):
    """A run of the Pareto front."""

    values: list[float] = Field(description="Where it ended in each of the sweep's metrics, in their order.")


class Front(View):
    """The runs that no other one beats in all metrics, by the first metric from its best value on."""

    metrics: list[MetricView]
    runs: list[FrontRun]
    of: int = Field(description="How many runs have a value of every metric.")


class Recommendation(View):
    """The run to use, and the best one observed: another where the metric is noisy and that one was lucky."""

    recommended: RunView | None
    mean: float | None = Field(description="What the model believes its objective to be.")
    std: float | None = Field(description="How unsure it is of that.")
    reason: str
    best: RunView | None = Field(description="The run with the best objective, as logged.")


class ParameterImportance(View):
    name: str
    share: float = Field(description="Of all that the parameters explain, 0 to 1.")
    chance: float = Field(description="How often as many runs drawn by chance would differ as much.")
    runs: int = Field(description="How many runs have this parameter.")


class Importances(View):
    """What each parameter contributes to how good runs are, the most important first."""

    metric: MetricView
    runs: int = Field(description="How many runs have a value.")
    verdict: str = Field(description="How sure this is, in a sentence.")
    parameters: list[ParameterImportance]


class AttemptView(View):
    """One execution of a run by one agent."""

    n: int
    state: AttemptState
    agent_id: str
    offered_at: float
    started_at: float | None
    ended_at: float | None
    outcome: Outcome | None
    exit_code: int | None
    signal: int | None
    reason: str
    tail: str = Field(description="The last lines that the run printed, its traceback among them.")


class DecisionView(View):
    """What early termination decided about a run, and why."""

    run_number: int | None
    attempt: int
    action: Action
    rule: str
    reason: str
    rung: float = Field(description="The resource at which it was judged: values logged, or the user's own key.")
    value: float | None
    threshold: float | None
    peers: int = Field(description="How many runs set the threshold, this one included.")
    probability: float | None = Field(
        None, description="That it would have become the best, if the rule foretells that."
    )
    decided_at: float


class RungView(View):
    """A resource at which a run was judged, or where it stands with a rule now if nothing was decided there."""

    rule: str
    at: float = Field(description="The resource: values logged, or the user's own key.")
    value: float | None = Field(description="What the run had there; null: it has not come that far.")
    threshold: float | None = Field(description="What it had, or would have, to reach.")
    peers: int = Field(description="How many runs set the threshold, this one included.")
    probability: float | None = None
    action: Action | None = Field(None, description="Null: nothing was decided.")
    reason: str = ""
    decided_at: float | None = None


class OutlookView(View):
    """What a rule waits for, or looks at, now."""

    rule: str
    text: str


class Explanation(View):
    """Why a run was stopped early, or was not. Of its present attempt."""

    run: RunView
    sweep_id: str
    metric: str | None
    resource: str = Field(description="What is counted: `values logged`, or the key that the sweep file names.")
    position: float = Field(description="How far the run has come.")
    answer: str
    rungs: list[RungView]
    outlook: list[OutlookView]
    lineage: list[int] = Field([], description="Numbers of the runs that it goes on from, nearest first.")
    hindsight: str | None = Field(description="Of a dry run: whether it would have been right to stop this run.")


class HindsightView(View):
    """What a dry run of early termination would have done so far, and whether it was right."""

    would_stop: list[int] = Field(description="Numbers of the runs that would have been stopped.")
    ended: int = Field(description="How many of them have ended since.")
    wrong: list[int] = Field(description="Those that ended better than all that would have been found.")
    best: float | None
    best_with_stopping: float | None = Field(description="The best objective that the sweep would have found.")
    saved_steps: int
    share: float = Field(description="The part of all steps that would have been saved, of 0 to 1.")


class EventView(View):
    """One fact in the story of a sweep, run or agent."""

    id: int
    sweep_id: str
    kind: str
    text: str
    at: float
    run_number: int | None
    attempt: int | None
    agent_id: str | None


class AgentView(View):
    """A process that executes runs of the sweep."""

    id: str
    host: str
    pid: int
    version: str
    state: AgentState
    first_seen_at: float
    last_seen_at: float
    order: AgentOrder | None = Field(
        description="What is wanted of it: to leave in one way or another, or to wait."
    )
    order_reason: str
    runs: list[int] = Field([], description="Numbers of the runs that it executes now.")


class RowView(View):
    """One row of a run's history; `line` counts from 0 over all attempts."""

    line: int
    attempt: int
    step: int
    runtime_s: float
    logged_at: float
    data: dict[str, Any]


class SweepView(View):
    """One sweep, in short."""

    id: str
    entity: str
    project: str
    name: str
    url: str = Field(description="Where a browser sees it.")
    state: SweepState
    reason: str = Field(description="Why it is in this state.")
    method: str
    metric: MetricView | None
    metrics: list[MetricView] = Field([], description="Its metrics if there are several; metric is null then.")
    run_cap: int | None
    version: int = Field(description="How often the sweep's spec was edited, plus one.")
    seed: int
    created_at: float
    ended_at: float | None
    counts: dict[RunState, int] = Field(description="How many runs are in each state.")
    best: RunView | None = Field(
        description="The run with the best objective among the finished and the stopped;"
        " with repeats the first run of the best point."
    )
    best_point: PointView | None = Field(None, description="The best point of a sweep with repeats.")


class NewSweep(SweepView):
    """A sweep that was just created."""

    size: int | None = Field(description="How many points its space has; null if they cannot be counted.")
    notes: list[str] = Field(description="What is allowed in the sweep file, but perhaps not what was meant.")


class VersionView(View):
    """A sweep's spec from one edit to the next."""

    version: int
    text: str = Field(description="What the edit changed.")
    at: float
    spec: dict[str, Any] = Field(description="The checked sweep file in normal form.")


class PriorRunView(View):
    """A result from elsewhere that a sweep knew when it was created."""

    n: int
    source: str = Field(description="A run, as SWEEP/NUMBER, or a file and its row.")
    params: dict[str, Any]
    value: float | None = Field(description="Of the sweep's metric.")
    failed: bool
    outside: bool = Field(description="Whether it was no point of the sweep's space when that was created.")
    note: str = Field(description="Why it is outside.")


class PriorRunPage(View):
    items: list[PriorRunView]
    total: int
    offset: int
    limit: int


class Progress(View):
    """How far a sweep is. `total` is null if nothing but a person ends it."""

    created: int
    ended: int
    total: int | None = Field(description="How many runs there will be: run_cap, or all points of a finite space.")
    fraction: float | None = Field(description="ended / total, of 0 to 1.")
    eta_s: float | None = Field(description="Seconds to go, judged by the last runs; null if that says nothing.")


class SavedView(View):
    """What early stopping saved against running every stopped run as long as the longest finished one."""

    steps: int = Field(description="Values of the metric that were not waited for.")
    seconds: float = Field(description="What stopped runs took less than whole ones on average.")
    used_steps: int = Field(description="Steps that all runs have taken.")
    share: float = Field(description="The part of all steps that was saved, of 0 to 1.")


class Proposing(View):
    """How the last runs were proposed by a searcher that takes its time."""

    runs: int = Field(description="How many this is about.")
    cost_ms: float = Field(description="What a suggestion took, the median.")
    unseen: int = Field(description="How many results came in after a suggestion was asked for, at most.")


class SweepDetail(SweepView):
    """One sweep, with what happens in it."""

    config: dict[str, Any] = Field(description="The checked sweep file in normal form.")
    size: int | None = Field(description="How many points its space has; null if they cannot be counted.")
    proposing: Proposing | None = Field(None, description="Null if suggestions are made at once.")
    front: Front | None = Field(None, description="What to choose between if there are several metrics.")
    progress: Progress
    agents: list[AgentView]
    running: list[RunView] = Field(description="The runs that are executed now, the first 100.")
    decisions: list[DecisionView] = Field(description="The last decisions of early termination, oldest first.")
    saved: SavedView
    dry_run: HindsightView | None = Field(None, description="Null: early termination is no dry run.")
    warnings: list[str] = Field([], description="What is probably not as it was meant, and what to do about it.")


class RunDetail(RunView):
    """One run, with all that happened to it."""

    detail: dict[str, Any] = Field(description="The numbers behind its proposal.")
    attempts: list[AttemptView]
    decisions: list[DecisionView]
    story: list[EventView]


class SweepPage(View):
    items: list[SweepView]
    total: int
    offset: int
    limit: int


class RunPage(View):
    items: list[RunView]
    total: int = Field(description="How many runs there are in the asked states, on all pages.")
    offset: int
    limit: int


class HistoryPage(View):
    rows: list[RowView]
    next_after_line: int | None = Field(description="Ask again with `after_line` set to it; null: that was all.")


class ConnectedSweep(View):
    """What an agent must know of its sweep."""

    id: str
    name: str
    entity: str
    project: str
    url: str
    state: SweepState
    reason: str
    program: str | None
    command: list[str] | None
    metric: MetricView | None
    run_cap: int | None


class Connection(View):
    """How an agent finds the bus."""

    instance: str = Field(description="8 characters that name the installation.")
    redis_url: str = Field(repr=False)
    prefix: str = Field(description="What every key of this installation in Redis begins with.")
    signing_key: str = Field(description="What offers are signed with, in hex. A secret.", repr=False)
    wire_version: int
    heartbeat_s: float
    lost_after_s: float
    epoch: int = Field(description="Of the controller that leads; agents refuse the word of older ones.")
    sweep: ConnectedSweep


class Health(View):
    """Whether the service works; `redis` and `engine` say `ok` or what is wrong.

    `standby`: another service leads, named by `leader`; this one takes over when that falls silent.
    """

    status: Literal["ok", "degraded", "standby"]
    version: str
    instance: str
    engine: str
    redis: str
    epoch: int
    leader: str = ""


class AuditView(View):
    """Who did what, to what."""

    id: int
    at: float
    actor: str = Field(description="The name of the API key, or who it was where there is none.")
    role: Role
    address: str = Field(description="From where.")
    verb: str
    target: str
    text: str


class AuditPage(View):
    items: list[AuditView]
    next_before: int | None = Field(description="Ask again with `before` set to it; null: that was all.")


class Pruned(View):
    entries: int = Field(description="How many were forgotten.")


class ProblemItem(View):
    """One of several things that are wrong. `line` and `column` count from 1; 0: unknown."""

    path: str
    message: str
    line: int = 0
    column: int = 0


class ProblemView(View):
    """Every error, after RFC 9457."""

    type: str = Field(description="What kind of error, as a URN.")
    title: str
    status: int
    detail: str = Field(description="What happened, where, and what to do about it.")
    errors: list[ProblemItem] = []
