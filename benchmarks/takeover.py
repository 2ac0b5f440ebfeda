"""How long nobody leads when the leader of two services dies, freezes or ends.

    python benchmarks/takeover.py --postgres URL [--times 3] [--lost-after-s 15]

From SIGKILL, SIGSTOP or SIGTERM to the leader until the other service says that it leads (its health is asked
every 50 ms). `--postgres`: an empty database; its tables are dropped in the end. Without it there is nothing to
measure.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from start import DEADLINE_S, empty, is_led, url_in

from sweepyard.bus.embedded import EmbeddedRedis
from sweepyard.client import Client
from sweepyard.clock import wait_until


class Service:
    def __init__(self, folder: Path, postgres: str, redis_url: str) -> None:
        words = ["serve", "--dir", str(folder), "--port", "0", "--store-url", postgres, "--redis-url", redis_url]
        (folder / "service.json").unlink(missing_ok=True)
        self.process = subprocess.Popen([sys.executable, "-m", "sweepyard", *words], stderr=subprocess.DEVNULL)
        self.client = Client(url_in(folder / "service.json", self.process))

    def leads_within_s(self) -> float:
        begin = time.perf_counter()
        assert wait_until(lambda: is_led(self.client), DEADLINE_S, 0.05)
        return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--lost-after-s", type=float, default=15.0)
    given = parser.parse_args()
    if not given.postgres:
        print("takeover.py needs a PostgreSQL: --postgres URL")
        return
    os.environ["SWEEPYARD_LOST_AFTER_S"] = str(given.lost_after_s)
    print(f"lost_after_s {given.lost_after_s:g}; {given.times} times each")
    print(f"{'leader':<12}{'median s':>10}{'most s':>10}")
    with tempfile.TemporaryDirectory() as name:
        redis = EmbeddedRedis(Path(name) / "redis")
        redis.start()
        folders = [Path(name) / "one", Path(name) / "two"]
        for folder in folders:
            folder.mkdir()
        leader, standby = (Service(folder, given.postgres, redis.url) for folder in folders)
        leader.leads_within_s()
        for what, number in {"killed": signal.SIGKILL, "frozen": signal.SIGSTOP, "ended": signal.SIGTERM}.items():
            took_s = []
            for _ in range(given.times):
                leader.process.send_signal(number)
                took_s.append(standby.leads_within_s())
                leader.process.send_signal(signal.SIGCONT)
                leader.process.wait()
                leader, standby = standby, Service(folders[0], given.postgres, redis.url)
                folders.reverse()
            print(f"{what:<12}{sorted(took_s)[len(took_s) // 2]:>10.1f}{max(took_s):>10.1f}", flush=True)
        for service in (standby, leader):
            service.process.terminate()
            service.process.wait()
        redis.stop()
    empty(given.postgres)


if __name__ == "__main__":
    main()
