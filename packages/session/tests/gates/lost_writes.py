"""Count acknowledged writes that are lost, and users who are signed out.

python tests/gates/lost_writes.py redis --writes 100000

Browsers load pages of five parallel requests: values, counters, flashes, lists, ids.
Between pages an hour passes, so that each page meets a due renewal. Meanwhile workers
are killed with SIGKILL, and so is the server of the store where that loses nothing by
design; a cluster of Redis moves the slots of sessions. An answer with the status 200 is
an acknowledgement: what it wrote has to be in the session in the end. The exit code is
1 if anything is missing.
"""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import dataclasses as dc
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from browser import Answer
from browser import Browser
from places import CANNOT_RUN
from places import free_port
from places import KINDS
from places import Missing
from places import opened
from places import Place
from places import wait_for_port
from shop import RENEWAL
from shop import SharedClock

BROWSERS = 6
PARALLEL = 5
# Of one session; with more, each write would carry more of the earlier ones.
PAGES = 40
WRITES = ("set",) * 5 + ("count", "flash", "append", "save", "renew")
_PATIENCE = 120


@dc.dataclass
class Tally:
    """What a run has counted."""

    store: str
    acknowledged: int = 0
    lost: int = 0
    false: int = 0
    signed_out: int = 0
    renewed: int = 0
    kills: int = 0
    restarts: int = 0
    moves: int = 0
    seconds: float = 0
    statuses: collections.Counter[int] = dc.field(default_factory=collections.Counter)
    lost_by: collections.Counter[str] = dc.field(default_factory=collections.Counter)

    @property
    def is_good(self) -> bool:
        return not (self.lost or self.false or self.signed_out or self.statuses[500])


class Visitor:
    """Somebody who is signed in, and notes what was acknowledged."""

    def __init__(self, port: int, number: int) -> None:
        self.user = f"user{number}"
        self.browser = Browser(port)
        self.acknowledged: dict[str, list[str]] = {kind: [] for kind in WRITES}
        self.attempts: collections.Counter[str] = collections.Counter()
        self.is_out = False
        self._lock = threading.Lock()
        self.patiently(f"/in/{self.user}")

    def patiently(self, path: str) -> Answer:
        deadline = time.monotonic() + _PATIENCE
        while (answer := self.browser.get(path)).status != 200:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{path} is answered with {answer.status}")
            time.sleep(0.1)
        return answer

    def write(self, kind: str, key: str) -> Answer:
        with self._lock:
            self.attempts[kind] += 1
        answer = self.browser.get(f"/w/{kind}/{key}")
        if answer.status == 503:
            time.sleep(0.1)
        with self._lock:
            if answer.status == 200:
                self.acknowledged[kind].append(key)
            if answer.status in {200, 403} and answer.body.get("user") != self.user:
                self.is_out = True
        return answer

    def missing(self) -> collections.Counter[str]:
        """Compare what is stored with what was acknowledged, by kind of write.

        :return: How many are missing; under ``"false"``, how many were never made.
        """
        answer = self.patiently("/all").body
        if answer["user"] != self.user:
            self.is_out = True
            return collections.Counter()
        data, missing = answer["data"], collections.Counter[str]()
        flashes = [text for _, text in data.get("_flashes", [])]
        for kind, keys in self.acknowledged.items():
            if kind == "count":
                missing[kind] += max(0, len(keys) - data.get("count", 0))
                missing["false"] += max(0, data.get("count", 0) - self.attempts[kind])
                continue
            found = {"flash": flashes, "append": data.get("list", [])}.get(kind, data)
            missing[kind] += sum(key not in found for key in keys)
        for several in (flashes, data.get("list", [])):
            # A write that was retried inside must not be made twice.
            missing["false"] += len(several) - len(set(several))
        return missing


class Chaos:
    """Kills workers, and the store's server, so many writes apart."""

    def __init__(self, place: Place, tally: Tally, writes: int) -> None:
        self._place = place
        self._tally = tally
        self._every_kill = max(100, min(writes // 10, 400))
        self._every_restart = max(500, writes // 25)
        self._pids: dict[int, int] = {}
        self._restarting: threading.Thread | None = None
        self._is_over = threading.Event()
        self._disturbing: threading.Thread | None = None
        if place.disturb is not None:
            self._disturbing = threading.Thread(target=self._disturb)
            self._disturbing.start()

    def saw(self, pid: int | None) -> None:
        if pid is not None:
            self._pids[pid] = self._pids.get(pid, 0) + 1

    def strike(self) -> None:
        """Kill what is due; requests are under way."""
        tally = self._tally
        done = tally.acknowledged
        if self._place.workers > 1 and done // self._every_kill > tally.kills:
            pid = max(self._pids, key=self._pids.__getitem__, default=None)
            if pid is not None:
                self._pids.clear()
                tally.kills += 1
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    tally.kills -= 1
        restart = self._place.restart
        if restart and done // self._every_restart > tally.restarts:
            if self._restarting is not None:
                self._restarting.join()
            tally.restarts += 1
            self._restarting = threading.Thread(target=restart)
            self._restarting.start()

    def over(self) -> None:
        self._is_over.set()
        for thread in (self._restarting, self._disturbing):
            if thread is not None:
                thread.join()

    def _disturb(self) -> None:
        disturb = self._place.disturb
        while disturb is not None and not self._is_over.is_set():
            self._tally.moves += bool(disturb())


class Run:
    """One run against a server that runs."""

    def __init__(
        self, place: Place, port: int, clock: SharedClock, writes: int, seed: int
    ) -> None:
        self.tally = Tally(place.kind)
        self._clock = clock
        self._writes = writes
        self._port = port
        self._chosen = random.Random(seed)
        self._chaos = Chaos(place, self.tally, writes)
        self._visitors = 0
        self._keys = 0

    def run(self) -> Tally:
        started = time.monotonic()
        visitors = [self._new() for _ in range(BROWSERS)]
        pages = collections.Counter[Visitor]()
        progress = time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(BROWSERS * PARALLEL) as pool:
            while self.tally.acknowledged < self._writes:
                before = self.tally.acknowledged
                self._round(pool, visitors)
                if self.tally.acknowledged > before:
                    progress = time.monotonic()
                elif time.monotonic() - progress > _PATIENCE:
                    raise RuntimeError(f"nothing is acknowledged: {self.tally}")
                self._clock.advance(RENEWAL + 1)
                for place, visitor in enumerate(visitors):
                    pages[visitor] += 1
                    if pages[visitor] >= PAGES or visitor.is_out:
                        self._judge(visitor)
                        visitors[place] = self._new()
        self.close()
        for visitor in visitors:
            self._judge(visitor)
        self.tally.seconds = round(time.monotonic() - started, 1)
        return self.tally

    def close(self) -> None:
        """Let what was killed or moved come to rest."""
        self._chaos.over()

    def _round(
        self, pool: concurrent.futures.ThreadPoolExecutor, visitors: list[Visitor]
    ) -> None:
        under_way = []
        for visitor in visitors:
            for _ in range(PARALLEL):
                self._keys += 1
                kind = self._chosen.choice(WRITES)
                under_way.append(pool.submit(visitor.write, kind, f"k{self._keys}"))
        moment = self._chosen.randrange(len(under_way))
        for number, one in enumerate(under_way):
            if number == moment:
                self._chaos.strike()
            answer = one.result()
            self.tally.statuses[answer.status] += 1
            self.tally.acknowledged += answer.status == 200
            self.tally.renewed += bool(answer.set_cookie)
            self._chaos.saw(answer.body.get("pid"))

    def _new(self) -> Visitor:
        self._visitors += 1
        return Visitor(self._port, self._visitors)

    def _judge(self, visitor: Visitor) -> None:
        missing = visitor.missing()
        self.tally.false += missing.pop("false", 0)
        self.tally.lost += missing.total()
        self.tally.lost_by += missing
        self.tally.signed_out += visitor.is_out


def run(kind: str, writes: int, *, seed: int = 0, preload: bool = True) -> Tally:
    """Start a store and workers, and count.

    :raises Missing: if the store cannot be had here.
    """
    with opened(kind) as place, tempfile.TemporaryDirectory() as folder:
        port, clock = free_port(), SharedClock(Path(folder) / "clock")
        command = [sys.executable, str(Path(__file__).with_name("workers.py"))]
        command += [folder, place.url, str(port), str(place.workers)]
        command += ["--preload"] if preload else []
        with subprocess.Popen(command) as server:
            try:
                wait_for_port(port)
                one = Run(place, port, clock, writes, seed)
                try:
                    return one.run()
                finally:
                    one.close()
            finally:
                server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store", choices=KINDS)
    parser.add_argument("--writes", type=int, default=2_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-preload", action="store_true")
    options = parser.parse_args()
    try:
        tally = run(
            options.store,
            options.writes,
            seed=options.seed,
            preload=not options.no_preload,
        )
    except Missing as error:
        print(error)
        sys.exit(CANNOT_RUN)
    print(json.dumps(vars(tally)))
    sys.exit(0 if tally.is_good else 1)


if __name__ == "__main__":
    main()
