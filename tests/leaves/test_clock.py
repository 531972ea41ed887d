"""The simulated clock: time passes only while all members sleep."""

from __future__ import annotations

import threading
import time

from core.clock import SYSTEM_CLOCK, SimulatedClock


def test_sleeping_takes_simulated_time_only() -> None:
    clock, begin = SimulatedClock(start_ns=5), time.monotonic()
    with clock.member():
        clock.sleep(3600)
        clock.sleep(0)
        clock.sleep(-1)
    assert clock.now_ns() == 5 + 3600 * 10**9
    assert time.monotonic() - begin < 5


def test_threads_wake_in_the_order_of_their_times() -> None:
    clock, order, lock = SimulatedClock(start_ns=0), [], threading.Lock()
    ready = threading.Barrier(4)

    def run(name: str, period_s: float, count: int) -> None:
        with clock.member():
            ready.wait()
            for _ in range(count):
                clock.sleep(period_s)
                with lock:
                    order.append((clock.now_ns(), name))

    threads = [threading.Thread(target=run, args=args) for args in (("a", 0.1, 30), ("b", 0.3, 10), ("c", 1.0, 3))]
    for thread in threads:
        thread.start()
    ready.wait()
    for thread in threads:
        thread.join(20)
    assert [t for t, _ in order] == sorted(t for t, _ in order)
    assert [t for t, name in order if name == "b"] == [round(0.3e9) * i for i in range(1, 11)]
    assert clock.now_ns() == 3 * 10**9


def test_a_member_that_works_holds_the_time() -> None:
    clock = SimulatedClock(start_ns=0)
    sleeper = threading.Thread(target=clock.sleep, args=(1.0,))
    with clock.member():
        sleeper.start()
        sleeper.join(0.2)
        assert sleeper.is_alive() and clock.now_ns() == 0
    sleeper.join(20)
    assert clock.now_ns() == 10**9


def test_the_system_clock_sleeps() -> None:
    begin = SYSTEM_CLOCK.now_ns()
    with SYSTEM_CLOCK.member():
        SYSTEM_CLOCK.sleep(0.01)
        SYSTEM_CLOCK.sleep(-1)
    assert SYSTEM_CLOCK.now_ns() - begin >= 9e6
