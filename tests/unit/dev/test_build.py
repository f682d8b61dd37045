"""A build is whole or absent, and done once."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from dev.artefacts import ARTEFACTS
from dev.build import build
from dev.cache import cached_path, is_program
from dev.errors import StackError
from dev.files import tail, write_private
from dev.locks import exclusive
from dev.progress import Silent, Step, elapsed

ETCD = ARTEFACTS["etcd"]


def leftovers(cache: Path) -> list[str]:
    """Everything but locks and logs."""
    return sorted(path.name for path in cache.rglob("*") if path.is_file() and path.suffix not in (".lock", ".log"))


def compiled(output: Path, step: Step) -> None:
    """A build that works."""
    output.write_bytes(b"program")


def test_what_was_built_is_a_program_in_the_cache(tmp_path: Path) -> None:
    """And nothing else is left."""
    path = build(ETCD, tmp_path, Silent(), compiled)
    assert path == cached_path(ETCD, tmp_path)
    assert is_program(path)
    assert leftovers(tmp_path) == ["etcd"]


def test_a_second_build_uses_the_first(tmp_path: Path) -> None:
    """The compiler is not asked again."""

    def never(output: Path, step: Step) -> None:
        raise AssertionError("built twice")

    build(ETCD, tmp_path, Silent(), compiled)
    build(ETCD, tmp_path, Silent(), never)


@pytest.mark.parametrize("error", [KeyboardInterrupt, StackError("failed")])
def test_an_interrupted_or_failed_build_leaves_nothing_half_made(
    tmp_path: Path, error: BaseException | type[BaseException]
) -> None:
    """Not even what the compiler had written by then."""

    def half(output: Path, step: Step) -> None:
        output.write_bytes(b"prog")
        raise error

    with pytest.raises((KeyboardInterrupt, StackError)):
        build(ETCD, tmp_path, Silent(), half)
    assert leftovers(tmp_path) == []
    assert is_program(build(ETCD, tmp_path, Silent(), compiled))


def test_what_a_killed_builder_left_is_not_taken_and_goes(tmp_path: Path) -> None:
    """A partial file is never a program, and the next build removes it."""
    stale = cached_path(ETCD, tmp_path).parent / ".etcd.4711.partial"
    stale.parent.mkdir(parents=True)
    stale.write_bytes(b"half")
    build(ETCD, tmp_path, Silent(), compiled)
    assert leftovers(tmp_path) == ["etcd"]


def test_two_builds_at_once_make_one(tmp_path: Path) -> None:
    """The second says that it waits, and then uses the result of the first."""
    waits = threading.Event()
    runs: list[str] = []

    class Telling(Silent):
        def note(self, text: str) -> None:
            if "waiting" in text:
                waits.set()

    def slow(output: Path, step: Step) -> None:
        runs.append("first")
        second.start()
        assert waits.wait(10)
        compiled(output, step)

    def fast(output: Path, step: Step) -> None:
        runs.append("second")

    second = threading.Thread(target=lambda: build(ETCD, tmp_path, Telling(), fast))
    build(ETCD, tmp_path, Silent(), slow)
    second.join(10)
    assert runs == ["first"]
    assert leftovers(tmp_path) == ["etcd"]


def test_a_lock_is_exclusive_and_given_up_after_a_limit(tmp_path: Path) -> None:
    """Nobody waits for ever, and the error names the file."""
    lock = tmp_path / "lock"
    with exclusive(lock), pytest.raises(StackError, match="lock"), exclusive(lock, limit=0.0):
        pass
    with exclusive(lock, limit=0.0):
        pass


def test_a_removed_lock_file_locks_no_longer(tmp_path: Path) -> None:
    """`down` removes the folder of its own lock."""
    lock = tmp_path / "lock"
    with exclusive(lock):
        lock.unlink()
        with exclusive(lock, limit=0.0):
            assert lock.exists()


def test_private_files_are_private_and_replaced_whole(tmp_path: Path) -> None:
    """Keys and tokens are among them."""
    path = tmp_path / "folder" / "key"
    write_private(path, "one")
    write_private(path, b"two")
    assert path.read_bytes() == b"two"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert list(path.parent.iterdir()) == [path]


def test_the_tail_of_a_log_starts_with_the_current_run(tmp_path: Path) -> None:
    """What an earlier run said is no reason for this one's end."""
    log = tmp_path / "log"
    log.write_text("address already in use\n", encoding="utf-8")
    offset = log.stat().st_size
    log.write_text(log.read_text(encoding="utf-8") + "one\ntwo\n", encoding="utf-8")
    assert tail(log, offset=offset) == "one\ntwo"
    assert tail(log, lines=1) == "two"
    assert tail(tmp_path / "missing") == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.04, "0.0 s"), (9.96, "10.0 s"), (59, "59 s"), (275, "4 min 35 s")])
def test_durations_read_well(seconds: float, text: str) -> None:
    """As a person says them."""
    assert elapsed(seconds) == text
