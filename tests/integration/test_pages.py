"""The pages for people: what they show, that they hold nothing of others but text, and that they stay small."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from html.parser import HTMLParser

import pytest
from httpx import Client
from integration.http_service import CONFIG, KEY, NOW, SWEEP, make_service, serving

from sweepyard.controller.moves import first_version
from sweepyard.controller.pages import HEADERS, ROWS, Html, tag
from sweepyard.controller.spec import read_spec
from sweepyard.tracking.records import Run, RunState, Sweep, SweepState
from sweepyard.tracking.sql import SqlStore, open_store

ATTACKS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>",
    "</title><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "javascript:alert(1)",
    "{{7*7}}${7*7}<%= 7*7 %>",
    "&lt;script&gt;",
    "\u202egnp.exe\x1b[2J",
    "<!--",
    "]]>",
)
HARMLESS = {"html", "head", "meta", "link", "title", "style", "body", "nav", "a", "h1", "h2", "span", "p"}
HARMLESS |= {"strong", "progress", "dl", "dt", "dd", "div", "table", "tr", "th", "td"}
ATTRIBUTES = {"lang", "charset", "name", "content", "rel", "href", "http-equiv", "class", "max", "value"}


class Reader(HTMLParser):
    """The elements and attributes of a page, its links, and the texts of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.links: dict[str, str] = {}
        self.rows: list[list[str]] = []
        self.text = ""
        self._href: str | None = None
        self._in_cell = False
        self.feed(text)
        self.close()

    def handle_starttag(self, name: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.add(name)
        self.attributes |= {key for key, _ in attributes}
        self._href = dict(attributes).get("href") if name == "a" else None
        if name == "tr":
            self.rows.append([])
        if name == "td":
            self.rows[-1].append("")
        self._in_cell = name == "td" or (self._in_cell and name == "a")

    def handle_endtag(self, name: str) -> None:
        self._in_cell = self._in_cell and name != "td"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._href is not None:
            self.links[data] = self._href
            self._href = None
        if self._in_cell:
            self.rows[-1][-1] += data


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStore]:
    with closing(open_store(f"sqlite:///{tmp_path_factory.mktemp('pages')}/store.db")) as store:
        yield store


@pytest.fixture(scope="module")
def http(store: SqlStore) -> Iterator[Client]:
    write_hostile(store)
    with serving(make_service(store)) as url, Client(base_url=url) as client:
        yield client


def write_hostile(store: SqlStore) -> None:
    """A sweep of 1,000 runs, in which each text that others choose is an attack."""
    spec = read_spec(CONFIG | {"parameters": {"optim": {"values": list(ATTACKS)}}, "description": ATTACKS[0]})
    sweep = Sweep(
        id="hostile1",
        entity="local",
        project=ATTACKS[2],
        name=ATTACKS[0],
        spec=spec.data,
        seed=1,
        state=SweepState.finishing,
        reason=ATTACKS[3],
        created_at=NOW,
    )
    with writing(store) as tx:
        tx.add_sweep(sweep)
        tx.add_version(first_version(sweep))
        for number in range(1, 1001):
            attack = ATTACKS[number % len(ATTACKS)]
            tx.add_run(
                Run(
                    id=f"h{number:07d}",
                    sweep_id=sweep.id,
                    number=number,
                    params={"optim": attack},
                    reason=attack,
                    name=attack,
                    state=RunState.failed,
                    state_reason=f"ValueError: {attack}" * 50,
                    objective=1 / number,
                    summary={attack: attack},
                    created_at=NOW,
                    ended_at=NOW,
                )
            )


@contextmanager
def writing(store: SqlStore) -> Iterator[object]:
    with store.transaction(store.take_over()) as tx:
        yield tx


def look(http: Client, path: str) -> Reader:
    answer = http.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
    assert "script" not in answer.headers["content-security-policy"]
    assert len(answer.content) < 200_000
    return Reader(answer.text)


def test_all_sweeps_lead_to_each_and_each_leads_on(http: Client) -> None:
    sweeps = look(http, "/")
    assert [row[3:5] for row in sweeps.rows if row] == [["running", "7 of 20"], ["finishing", "1000 of 20"]]
    page = look(http, sweeps.links[SWEEP])
    for words in (
        "running",
        "5 of 20 runs ended",
        "maximize acc",
        "acc 0.95, run 5 (lr=0.5, bs=16)",
        "1 to 7 of 7",
    ):
        assert words in page.text
    assert [row[:2] for row in page.rows if row][:2] == [["1", "finished"], ["2", "stopped"]]
    for text in ("all sweeps", "JSON", "runs as JSON", "5", "best first"):
        place = page.links[text]
        assert http.get(place if place.startswith("/") else f"{sweeps.links[SWEEP]}{place}").status_code == 200
    ranked = look(http, f"{sweeps.links[SWEEP]}{page.links['best first']}")
    assert next(row[0] for row in ranked.rows if row) == "5"


def test_what_others_wrote_is_text(http: Client) -> None:
    place = look(http, "/").links["hostile1"]
    for path in ("/", place, f"{place}?page=4"):
        page = look(http, path)
        assert page.tags <= HARMLESS
        assert page.attributes <= ATTRIBUTES
        assert all(link.startswith(("/", "?")) and not link.startswith("//") for link in page.links.values())
        assert ATTACKS[0] in page.text
        assert not any(letter in page.text for letter in "\u202e\x1b")


def test_a_thousand_runs_are_read_in_pages(http: Client) -> None:
    place = look(http, "/").links["hostile1"]
    seen: list[str] = []
    path = place
    for n in range(10):
        page = look(http, path)
        numbers = [row[0] for row in page.rows if row]
        assert len(numbers) == ROWS
        assert ("next" in page.links) == (n < 9)
        assert ("previous" in page.links) == (n > 0)
        seen += numbers
        path = f"{place}{page.links.get('next', '')}"
    assert seen == [str(number) for number in range(1, 1001)]
    assert "no runs here, 1000 in all" in look(http, f"{place}?page=12").text


def test_a_sweep_that_goes_on_is_fetched_again_and_one_that_is_over_is_not(http: Client, store: SqlStore) -> None:
    place = f"/local/digits/sweeps/{SWEEP}"
    assert "http-equiv" in look(http, place).attributes
    http.post(f"/api/v1/sweeps/{SWEEP}/cancel")
    assert "http-equiv" not in look(http, place).attributes


def test_another_place_or_page_is_not_there(http: Client) -> None:
    assert http.get(f"/local/other/sweeps/{SWEEP}").status_code == 404
    assert http.get("/local/digits/sweeps/nosuch00").status_code == 404
    assert http.get("/?page=0").status_code == 422


def test_with_keys_a_page_needs_one(sqlite_url: str) -> None:
    with (
        closing(open_store(sqlite_url)) as store,
        serving(make_service(store, api_key=KEY)) as url,
        Client(base_url=url) as http,
    ):
        assert http.get("/").status_code == 401
        assert http.get("/", auth=("me", KEY)).status_code == 200


def test_only_html_is_not_escaped() -> None:
    made = tag("p", "a<b", Html("<br>"), title='"x" & <y>', class_="c")
    assert made == '<p title="&quot;x&quot; &amp; &lt;y&gt;" class="c">a&lt;b<br></p>'
