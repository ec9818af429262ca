"""Ctrl-C that waits, threads that nobody waits for, and OpenMP's threads."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time
import weakref
from functools import partial

import pytest

from ragkit.system import DaemonPool, defer_interrupt, passive_openmp


def test_results_come_in_the_order_of_the_items_from_several_threads() -> None:
    together = threading.Barrier(3)  # broken unless three are at work at once

    def double(number: int) -> int:
        if number < 3:
            together.wait(timeout=5)
        return 2 * number

    assert DaemonPool(3).map(double, range(100)) == list(range(0, 200, 2))


def test_after_an_error_no_further_item_is_begun() -> None:
    begun: list[int] = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 5:
            msg = "no more"
            raise OSError(msg)

    with pytest.raises(OSError, match="no more"):
        DaemonPool(1).map(work, range(100))
    assert begun == [0, 1, 2, 3, 4, 5]


def test_a_future_that_was_cancelled_in_time_is_not_worked_on() -> None:
    pool, go, called = DaemonPool(1), threading.Event(), threading.Event()
    first = pool.submit(partial(go.wait, 5))
    second = pool.submit(called.set)
    assert second.cancel()
    go.set()
    assert first.result(timeout=5)
    assert pool.submit(called.is_set).result(timeout=5) is False


def test_a_closed_pool_says_so_and_ends_its_threads() -> None:
    pool, together = DaemonPool(2), threading.Barrier(2)
    pool.map(lambda _: together.wait(timeout=5), [1, 2])
    threads = list(pool._crew.threads)
    assert [thread.is_alive() for thread in threads] == [True, True]
    pool.close()
    _expect_end(threads)
    for items in ([1], [1, 2]):
        with pytest.raises(ValueError, match="closed"):
            pool.map(str, items)


def test_a_pool_that_is_forgotten_ends_its_threads() -> None:
    pool = DaemonPool(2)
    assert pool.map(str, [1, 2]) == ["1", "2"]
    threads = list(pool._crew.threads)
    del pool
    _expect_end(threads)


def test_a_thread_that_waits_is_used_before_another_is_started() -> None:
    pool, used = DaemonPool(50), set[int]()
    for _ in range(20):
        used.add(pool.submit(threading.get_ident).result(timeout=5))
        _expect_idle(pool, 1)  # a result is there a moment before its thread waits again
    assert used == {thread.ident for thread in pool._crew.threads}
    assert len(used) == 1


def test_what_waits_is_done_in_the_order_in_which_it_came() -> None:
    pool, go, done = DaemonPool(1), threading.Event(), list[int]()
    pool.submit(partial(go.wait, 5))
    futures = [pool.submit(partial(done.append, number)) for number in range(20)]
    go.set()
    for future in futures:
        future.result(timeout=5)
    assert done == list(range(20))


def test_a_thread_that_waits_keeps_nothing_of_what_it_did() -> None:
    class Result:
        pass

    pool = DaemonPool(1)
    result = pool.submit(Result).result(timeout=5)
    _expect_idle(pool, 1)
    kept = weakref.ref(result)
    del result
    assert kept() is None


def _expect_idle(pool: DaemonPool, count: int) -> None:
    for _ in range(500):
        if len(pool._crew._idle) >= count:
            return
        time.sleep(0.01)
    pytest.fail("its threads do not come to rest")


def _expect_end(threads: list[threading.Thread]) -> None:
    for thread in threads:
        thread.join(timeout=5)
        assert not thread.is_alive()


def test_a_program_does_not_wait_for_the_threads_at_its_end() -> None:
    code = (
        "import time; from ragkit.system import DaemonPool\n"
        "DaemonPool(1).submit(lambda: time.sleep(60))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=20)
    assert done.returncode == 0


ARENAS = """
import ctypes, sys, threading
from ragkit.system import share_allocator
if sys.argv[1] == "shared":
    share_allocator()
together = threading.Barrier(4)
def work():
    together.wait()
    kept = bytes(50_000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
libc = ctypes.CDLL(None)
libc.malloc_info(0, ctypes.c_void_p.in_dll(libc, "stdout"))
libc.fflush(None)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have one pool")
def test_threads_allocate_from_one_pool() -> None:
    def count(how: str) -> int:
        environment = {k: v for k, v in os.environ.items() if k != "MALLOC_ARENA_MAX"}
        told = subprocess.check_output([sys.executable, "-c", ARENAS, how], env=environment)
        return told.count(b"<heap nr=")

    assert count("apart") > 1
    assert count("shared") == 1


def _interrupted(done: list[str]) -> None:
    with defer_interrupt():
        signal.raise_signal(signal.SIGINT)
        done.append("the end of the block")


def test_ctrl_c_waits_for_the_end_of_the_block() -> None:
    done: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _interrupted(done)
    assert done == ["the end of the block"]


def test_the_setting_for_openmp_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    with passive_openmp():
        assert os.environ["GOMP_SPINCOUNT"] == "1000"
    assert "GOMP_SPINCOUNT" not in os.environ


@pytest.mark.parametrize("name", ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"])
def test_a_users_own_setting_for_openmp_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    monkeypatch.setenv(name, "7")
    before = dict(os.environ)
    with passive_openmp():
        assert dict(os.environ) == before
    assert dict(os.environ) == before
