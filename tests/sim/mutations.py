"""``python -m tests.sim.mutations``: bugs made by hand, one at a time, in a copy of the sources: a net must catch each.

The nets are the simulation (the fixed seeds of the tests, and more with ``--seeds``) and the pure tests. A bug that
none of them catches is named, and the exit code is 1. ``--markdown`` prints the table that docs/proof.md keeps.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

ROOT = Path(__file__).parent.parent.parent
COPIED = (
    *("mesh", "gateway", "replay", "security", "clients/python", "tests", "docs", "examples"),
    *("README.md", "CHANGELOG.md", "nats.conf", "pyproject.toml"),
)
PURE_TESTS = (
    "tests/replay",
    "tests/sim/test_two_readers.py",
    "tests/client",
    "tests/gateway/test_reads_ahead.py",
    "tests/gateway/test_replays.py",
    "tests/gateway/test_session.py",
    "tests/gateway/test_session_bounds.py",
    "tests/gateway/test_session_model.py",
    "tests/gateway/test_session_requests.py",
    "tests/gateway/test_session_time.py",
    "tests/gateway/test_outstanding.py",
    "tests/gateway/test_hub.py",
    "tests/gateway/test_timers.py",
    "tests/gateway/test_access.py",
    "tests/mesh/test_contiguity.py",
    "tests/security/test_permissions.py",
    "tests/security/test_subjects.py",
)
REAL_SERVERS = (
    "tests/system/test_takeover.py",
    "tests/system/test_coming_back.py",
    "tests/system/test_shared_reads.py",
    "tests/system/test_trickle.py",
    "tests/mesh/test_feed.py",
)
"""Tried on what the others do not catch."""
WITHIN_S = 240


class Mutation(msgspec.Struct, frozen=True):
    """A bug: in a file, a text that stands there once becomes another."""

    path: str
    old: str
    new: str
    what: str


REPLAYS = "gateway/replays.py"
SESSION = "gateway/session.py"
RECENT = "replay/recent.py"
CATCHUP = "replay/catchup.py"
OPENING = "replay/opening.py"
CURSORS = "replay/cursors.py"
ACKS = "clients/python/tidewire_client/acks.py"

MUTATIONS = (
    Mutation(
        SESSION,
        "self.position, self.phase = seq - 1, Phase.LAGGING",
        "self.position, self.phase = seq, Phase.LAGGING",
        "a live session that cannot take an event resumes behind it",
    ),
    Mutation(
        SESSION, "if self.position == recent.head:", "if self.position >= recent.head - 1:", "live one event early"
    ),
    Mutation(
        SESSION,
        "return [_SAVE, *self.pump()] if self.phase is not _LIVE else [_SAVE]",
        "return [_SAVE]",
        "an ack does not wake a waiting replay",
    ),
    Mutation(
        SESSION,
        "        self.events_sent += 1\n",
        "        self.events_sent += 1\n        self.acked = event.seq\n",
        "the cursor is moved by delivery",
    ),
    Mutation(
        SESSION,
        "reached = min(reached, first - 1)",
        "reached = min(reached, first)",
        "through includes the first outstanding event",
    ),
    Mutation(
        SESSION,
        "self.position = max(self.position, reached)",
        "self.position = max(self.position, reached + 1)",
        "a read counts one event too many",
    ),
    Mutation(SESSION, "if seq > max(self", "if seq - 1 > max(self", "an ack of one beyond what was told is taken"),
    Mutation(
        SESSION,
        "        self.untold = hole.joined_to(self.untold)\n",
        "",
        "a gap whose frame is lost with its socket is not told again",
    ),
    Mutation(
        SESSION, "if seq <= self.acked:", "if seq < self.acked:", "an ack of the cursor moves what is outstanding"
    ),
    Mutation(
        SESSION, "has_ended = unix_s >= self.expires_at", "has_ended = False", "delivery goes on after the token's end"
    ),
    Mutation(
        SESSION,
        "            return []  # a refresh may still save them",
        "            pass",
        "what waits at the token's end is thrown away",
    ),
    Mutation(
        SESSION,
        "events = [event for event in result.events if self.interest.is_due(event.subject, event.seq)]",
        "events = result.events",
        "a pattern let go of during a read is delivered",
    ),
    Mutation(SESSION, "self.phase = Phase.LIVE\n", "self.phase = Phase.LAGGING\n", "live is said and not done"),
    Mutation(
        RECENT, "self.floor = event.seq\n", "self.floor = event.seq - 1\n", "the floor is one too low after an eviction"
    ),
    Mutation(
        RECENT, "return position >= self.floor", "return position >= self.floor - 1", "the window claims one event more"
    ),
    Mutation(
        RECENT,
        "return events[:most], events[most - 1].seq",
        "return events[:most], events[most].seq",
        "a full slice skips the next event",
    ),
    Mutation(
        RECENT,
        "starts[id(lane)] = (lane, start if known is None else min(known[1], start))",
        "starts[id(lane)] = (lane, start)",
        "the later of two patterns decides",
    ),
    Mutation(
        RECENT,
        "hole.before - 1 > after and hole.after < through",
        "hole.before - 1 > after and hole.after < through - 1",
        "a hole at the end of a slice is not told",
    ),
    Mutation(
        "replay/interest.py",
        "if seq > since and",
        "if seq > since + 1 and",
        "the first event of a pattern is not due",
    ),
    Mutation(
        "replay/interest.py",
        "max(position, min(self.since.values()",
        "max(position, max(self.since.values()",
        "the latest pattern decides where replay begins",
    ),
    Mutation(
        CATCHUP,
        "            dry += 1\n",
        "            return (yield from _finish(after, [], floor))\n",
        "nothing came is taken for nothing is there",
    ),
    Mutation(
        CATCHUP, "if proved >= floor:", "if proved >= floor - 1:", "a replay is complete one event before the window"
    ),
    Mutation(
        CATCHUP,
        "complete = min(complete, found - 1)",
        "complete = min(complete, found)",
        "the leader's next event counts as absent",
    ),
    Mutation(
        CATCHUP,
        'holes.append(Hole(after, state.first_seq, "expired"))',
        "pass",
        "what expired during a replay is not told",
    ),
    Mutation(
        CATCHUP,
        "if after < seq <= reached",
        "if after < seq < reached",
        "a deleted event at the end of a read is not told",
    ),
    Mutation(
        CATCHUP,
        "if delivery.consumer_seq != standing.consumer_seq or delivery.event.seq <= standing.after:",
        "if delivery.event.seq <= standing.after:",
        "a delivery that was lost on the way is not noticed",
    ),
    Mutation(CATCHUP, "is None or next_seq < first", "is None", "a consumer whose numbers fit by chance is believed"),
    Mutation("replay/durable.py", "== self._reader", "is not None", "a filter that another gateway set is believed"),
    Mutation(OPENING, "or first_seq <= start + 1:", "or first_seq <= start + 2:", "one expired event is not told"),
    Mutation(
        OPENING,
        'return Opening("resumed", resume.seq, resume.seq, interest)',
        'return Opening("resumed", record.acked, record.acked, interest)',
        "a client that lost state gets less than it asked for",
    ),
    Mutation(
        OPENING,
        "        return opening  # its client has processed something behind the gap",
        "        pass",
        "a gap is told for ever",
    ),
    Mutation(
        OPENING,
        "resume.stream != identity or resume.seq > last_seq",
        "resume.stream != identity",
        "a position beyond the end is believed",
    ),
    Mutation(
        OPENING,
        'return Opening("resumed", resume.seq, max(resume.seq, record.through), interest)',
        'return Opening("resumed", resume.seq, record.through, interest)',
        "the position falls behind what was acknowledged",
    ),
    Mutation(
        CURSORS,
        "encode_record(record), revision=expected)",
        "encode_record(record))",
        "an older gateway's late write moves the cursor",
    ),
    Mutation(
        CURSORS,
        "return newest > cursor.claimed_revision or stored.saved_s >= cursor.claimed_s",
        "return False",
        "a session that was taken over is written on",
    ),
    Mutation(
        CURSORS,
        "            self._dirty[cursor.claim] = cursor\n",
        "",
        "a cursor that could not be stored is not tried again",
    ),
    Mutation(
        "gateway/outstanding.py",
        "bisect_right(sent, seq, key=_seq)",
        "bisect_right(sent, seq - 1, key=_seq)",
        "the acknowledged event stays outstanding",
    ),
    Mutation(
        "gateway/outstanding.py",
        "self.bytes + size <= self.bytes_most",
        "self.bytes <= self.bytes_most",
        "the last event may exceed the window",
    ),
    Mutation(
        "gateway/outstanding.py",
        "len(sent) + len(entries) > self.messages_most",
        "len(entries) > self.messages_most",
        "events that come together may exceed the window",
    ),
    Mutation(
        "mesh/feed.py",
        "            self._hand_over()\n            self._tell(judged)\n",
        "            self._tell(judged)\n",
        "a hole is told before the events that came before it",
    ),
    Mutation(
        "replay/admission.py",
        "                return [who]\n",
        "                return []\n",
        "whoever's turn it is, is not told",
    ),
    Mutation("replay/durable.py", '{"seq": after + 1}', '{"seq": after + 2}', "a durable begins one event late"),
    Mutation(
        "mesh/sweep.py",
        '"opt_start_seq": self._contiguity.head + 1,',
        '"opt_start_seq": self._contiguity.head + 2,',
        "a sweep begins one event late",
    ),
    Mutation(
        "replay/stretch.py",
        "return self._window.floor <= after < self._window.head",
        "return self._window.floor - 1 <= after < self._window.head",
        "an older stretch claims one event more",
    ),
    Mutation(
        REPLAYS,
        "ask.after = found.reached\n",
        "ask.after = found.reached + 1\n",
        "who waits for a sweep is moved on one event too far",
    ),
    Mutation(
        REPLAYS,
        "if not found.events and not found.holes and",
        "if not found.events and",
        "a hole among events that are not due is not told",
    ),
    Mutation(
        REPLAYS,
        "            await shared.sweep.close()\n        self._consider()\n",
        "            await shared.sweep.close()\n",
        "who waits for a sweep that failed waits for ever",
    ),
    Mutation(
        "mesh/feed.py",
        '"opt_start_seq": self.head + 1,',
        '"opt_start_seq": self.head + 2,',
        "the feed reads on one event late",
    ),
    Mutation(
        "mesh/contiguity.py",
        "return Broken.REPEAT if is_repeat else Broken.LOST",
        "return Broken.REPEAT",
        "a delivery lost on the way to the feed is ignored",
    ),
    Mutation(
        "mesh/contiguity.py",
        "if seq == self.head + 1:",
        "if seq <= self.head + 2:",
        "a hole of one event in the stream is not told",
    ),
    Mutation(
        "gateway/exchange.py",
        "            behind, self._behind = self._behind, {}\n",
        "            behind: dict[Attached, None] = {}\n",
        "who waits for the feed is not woken",
    ),
    Mutation(
        "gateway/connection.py",
        "        self.exchange.attach(self)\n",
        "        asyncio.get_running_loop().call_later(0.05, self.exchange.attach, self)\n",
        "a pause between the replay's end and the first live event",
    ),
    Mutation(
        "gateway/connection.py",
        "            self.guarded(self.pump)\n",
        "",
        "a socket that takes bytes again does not wake its session",
    ),
    Mutation(
        "gateway/connection.py", "untold=session.untold,", "untold=None,", "a gap not seen to be read is not stored"
    ),
    Mutation(
        REPLAYS,
        "if isinstance(result, Read):\n",
        "if isinstance(result, Failed):\n            return\n        if isinstance(result, Read):\n",
        "a failed read is not told to its session",
    ),
    Mutation(
        REPLAYS,
        "if ahead is not None and ahead.after == ask.after:",
        "if ahead is not None:",
        "what was read ahead is handed to a session that is elsewhere",
    ),
    Mutation(
        "gateway/reception.py",
        "            rival.lose(ended=False)\n",
        "            pass\n",
        "two connections of a session stay in one gateway",
    ),
    Mutation(
        "gateway/hub.py",
        "                if node.tail:\n                    found.append(node.tail)\n",
        "                if node.tail and len(nodes) == 1:\n                    found.append(node.tail)\n",
        "a pattern's tail is missed beside a wildcard",
    ),
    Mutation(
        "gateway/access.py", 'elif permissions.allows("read", pattern):', "elif True:", "every pattern is permitted"
    ),
    Mutation(ACKS, "if frame.seq <= ledger.received:", "if frame.seq < ledger.received:", "the client takes a repeat"),
    Mutation(
        ACKS,
        "min(self._ledger.processed, self._ack_limit)",
        "max(self._ledger.received, self._ack_limit)",
        "the client acknowledges what it has only received",
    ),
    Mutation(
        "clients/python/tidewire_client/ledger.py",
        "while self._work and not self._work[0].holders:",
        "while self._work:",
        "the client's position passes events in work",
    ),
    Mutation(
        "clients/python/tidewire_client/core.py",
        "return connection == self.connection and self.state in",
        "return self.state in",
        "an old connection's frames are heard",
    ),
)


def copy_sources(folder: Path) -> None:
    """The sources and tests, without what was built of them."""
    ignored = shutil.ignore_patterns("__pycache__", "node_modules", "*.pyc", ".hypothesis")
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=ignored)
        else:
            shutil.copy(source, folder / name)


def nets_of(folder: Path, seeds: int) -> dict[str, list[str]]:
    """The nets, in the order in which they are tried: what Python is told to run."""
    pytest = ["-m", "pytest", "-q", "-x", "-n", "0", "-p", "no:cacheprovider"]
    return {
        "simulation": ["-m", "tests.sim", "--fixed", "--jobs", "1", "--failures", "1", "--count", str(seeds)],
        "pure tests": [*pytest, *(test for test in PURE_TESTS if (folder / test).exists())],
        "real servers": [*pytest, *(test for test in REAL_SERVERS if (folder / test).exists())],
    }


def caught_by(mutation: Mutation | None, seeds: int, *, by_all: bool) -> tuple[str, float]:
    """Which net catches a bug, and after how many seconds; empty when none does.

    A later net is tried when the ones before do not catch it, or ``by_all``. None: the sources as they are.
    """
    with tempfile.TemporaryDirectory(prefix="mutation-") as name:
        folder = Path(name)
        copy_sources(folder)
        if mutation is not None:
            path = folder / mutation.path
            text = path.read_text()
            assert text.count(mutation.old) == 1, f"{mutation.path}: not once {mutation.old!r}"
            path.write_text(text.replace(mutation.old, mutation.new))
        began_s = time.monotonic()
        caught: list[str] = []
        for net, arguments in nets_of(folder, seeds).items():
            if caught and not by_all:
                break
            if _fails(folder, arguments):
                caught.append(net)
        return ", ".join(caught), time.monotonic() - began_s


def _fails(folder: Path, arguments: list[str]) -> bool:
    environment = os.environ | {"PYTHONPATH": f"{folder}:{folder / 'clients/python'}", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            timeout=WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return True  # it goes round in circles
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{arguments[1]}: {(done.stdout + done.stderr).decode()[-2000:]}")
    return done.returncode == 1


def main(arguments: list[str]) -> int:
    """Run all mutations, or those that a text names."""
    parser = argparse.ArgumentParser(prog="python -m tests.sim.mutations", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="run the bugs whose path or description holds this text")
    parser.add_argument(
        "--seeds", type=int, default=0, help="further seeds of the simulation, beside the fixed ones of the tests"
    )
    parser.add_argument("--after", default="", help="begin behind the bug whose description holds this text")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="bugs at once (default: all cores)")
    parser.add_argument(
        "--all-nets", action="store_true", help="try the pure tests, too, on what the simulation catches"
    )
    parser.add_argument("--markdown", action="store_true", help="print a table for docs/proof.md")
    wanted = parser.parse_args(arguments)
    chosen = [one for one in MUTATIONS if wanted.only in one.path or wanted.only in one.what]
    if wanted.after:
        first = next(place for place, one in enumerate(chosen) if wanted.after in one.what)
        chosen = chosen[first + 1 :]
    escaped = 0
    if broken := caught_by(None, wanted.seeds, by_all=True)[0]:
        print(f"without any bug there fail: {broken}; mend that first", file=sys.stderr)
        return 2
    with ThreadPoolExecutor(wanted.jobs) as pool:
        for mutation, (net, took_s) in zip(
            chosen, pool.map(lambda one: caught_by(one, wanted.seeds, by_all=wanted.all_nets), chosen), strict=True
        ):
            escaped += not net
            if wanted.markdown:
                print(f"| `{mutation.path}` | {mutation.what} | {net or '**nothing**'} |", flush=True)
            else:
                print(f"{net or 'ESCAPED':28} {took_s:5.0f} s  {mutation.path}: {mutation.what}", flush=True)
    print(f"{len(chosen) - escaped} of {len(chosen)} caught", file=sys.stderr)
    return 1 if escaped else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
