"""F20: times are stored in UTC. A sweep is the same in every time zone, and what people read names theirs."""

from __future__ import annotations

import re
import time

from acceptance.commands import Place

ZONES = {
    "UTC": {"UTC": 0.0},
    "NST3:30NDT,M3.2.0,M11.1.0": {"NST": -3.5, "NDT": -2.5},
    "<+14>-14": {"+14": 14.0},
}
"""UTC, St John's with its summer time, and Kiritimati, for machines without a table of zones; and how many hours
each of their names is ahead."""
HERE = "NST3:30NDT,M3.2.0,M11.1.0"


def test_a_sweep_is_the_same_in_every_time_zone(place: Place) -> None:
    began = time.time()
    done = place.run("run", place.write_sweep(runs=1), "--workers", 1, TZ=HERE)
    assert done.returncode == 0, done.stdout + done.stderr
    ended = time.time()
    (sweep,) = place.json("status", TZ=HERE)
    seen = [place.json("runs", sweep["id"], 1, TZ=zone) for zone in ZONES]
    assert seen[0] == seen[1] == seen[2]
    story = seen[0]["story"]
    assert all(began <= event["at"] <= ended for event in story)
    assert [event["at"] for event in story] == sorted(event["at"] for event in story)
    for zone, names in ZONES.items():
        page = place.run("runs", sweep["id"], 1, TZ=zone).stdout
        shown = re.findall(r"(\d\d):(\d\d)(?::\d\d)? (\S+)  \w+:", page)
        assert len(shown) == len(story)
        for (hours, minutes, name), event in zip(shown, story, strict=True):
            minute_there = (event["at"] + names[name] * 3600) // 60 % (24 * 60)
            assert int(hours) * 60 + int(minutes) == minute_there, page


def test_a_key_ends_with_a_day_of_utc_wherever_it_was_made(place: Place) -> None:
    assert place.run("keys", "create", "late", "--expires", "2100-01-01", TZ="<+14>-14").returncode == 0
    (key,) = place.json("keys", "list", TZ=HERE)
    assert key["expires_at"] == "2100-01-01T00:00:00+00:00"
