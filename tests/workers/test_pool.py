"""Items that go to workers: each result comes once, whatever workers do; with threads for Ray."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from contextlib import contextmanager
from itertools import count

import pytest

from cot.errors import ConsilienceError, InputError
from cot.workers import pool
from cot.workers.cluster import Cluster, cluster_of
from cot.workers.pool import TRIES, Lost, Workers
from cot.workers.tasks import shared
from cot.workers.worker import Given, Worker
from tests.workers.fake_ray import FakeRay


@pytest.fixture
def ray(monkeypatch):
    fake = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", fake)
    # a thread can't be killed: it is told to end
    monkeypatch.setattr(Worker, "close_soon", lambda self: self._given.end(), raising=False)
    return fake


class Squares:
    """A task: each number gives itself `times` over, squared and cubed and so on."""

    def __init__(self, times=1, die=None, fail_at=None):
        self.times, self.die, self.fail_at = times, die, fail_at
        self.opened = 0

    @contextmanager
    def open(self):
        self.opened += 1

        def do(items):
            for n in items:
                if n == self.fail_at:
                    raise InputError(f"{n} is no number for this")
                for power in range(2, 2 + self.times):
                    yield n, n**power
                    if self.die is not None:
                        self.die(n)

        yield do


def results(task, items, ray, workers=2, **settings):
    with shared(task, Cluster(workers=workers), called=str, **settings) as do:
        return list(do(items))


def test_workers_give_what_one_process_gives(ray):
    task = Squares(times=3)
    with shared(task, None, called=str) as do:
        alone = list(do(range(50)))
    assert sorted(results(task, range(50), ray)) == sorted(alone)
    assert task.opened == 1 + 2, "each worker loads once"


def kill_own(ray):
    (mine,) = [each for each in ray.actors if each._made._thread is threading.current_thread()]
    mine.kill()
    threading.Event().wait()  # as a process that was killed, the thread does nothing more


class Killer:
    """Kills the actor that does an item, a number of times."""

    def __init__(self, ray, item, times):
        self.ray, self.item, self.left = ray, item, times
        self.lock = threading.Lock()

    def __call__(self, n):
        if n != self.item:
            return
        with self.lock:
            if not self.left:
                return
            self.left -= 1
        time.sleep(0.1)  # what was done is taken first
        kill_own(self.ray)


@pytest.mark.parametrize("deaths", range(1, TRIES))
def test_what_a_lost_worker_held_is_done_by_another_and_comes_once(ray, deaths, caplog):
    task = Squares(times=3)
    task.die = Killer(ray, 7, deaths)
    found = results(task, range(20), ray)
    assert sorted(found) == sorted((n, n**p) for n in range(20) for p in (2, 3, 4))
    assert len(ray.actors) == 2 + deaths
    assert f"worker {0} died" in caplog.text or "worker 1 died" in caplog.text


def test_an_item_whose_workers_all_die_is_named_and_all_others_are_done(ray):
    task = Squares()
    task.die = Killer(ray, 7, 100)
    found = []
    with (
        pytest.raises(ConsilienceError, match=r"1 given up, as their workers died: 7 \(7: 3 "),
        shared(task, Cluster(workers=2), called=str, room=1) as do,
    ):
        found.extend(do(range(20)))
    assert {n for n, _ in found} == set(range(20)), "its first result came before the worker died"
    assert len(found) == 20
    assert len(ray.actors) == 2 + TRIES


def test_workers_that_all_die_at_once_are_no_endless_loop(ray):
    class Doomed:
        @contextmanager
        def open(self):
            yield self.do

        def do(self, items):
            kill_own(ray)
            yield

    with pytest.raises(ConsilienceError, match=r"all workers died, 3 times in a row|given up"):
        results(Doomed(), range(5), ray, workers=1)
    assert len(ray.actors) <= TRIES


def test_what_the_work_raises_is_raised_here(ray):
    with pytest.raises(InputError, match="3 is no number for this"):
        results(Squares(fail_at=3), range(9), ray)


def test_after_an_error_the_same_workers_go_on(ray):
    task = Squares(fail_at=3)
    with shared(task, Cluster(workers=2), called=str) as do:
        with pytest.raises(InputError):
            list(do(range(9)))
        assert sorted(do(range(4, 9))) == [(n, n * n) for n in range(4, 9)]
    assert task.opened == 2


def test_what_cannot_be_loaded_is_said_as_often_as_it_is_asked(ray):
    class Broken:
        @contextmanager
        def open(self):
            raise InputError("the model is not here")
            yield

    with shared(Broken(), Cluster(workers=2), called=str) as do:
        for _ in range(2):
            with pytest.raises(InputError, match="the model is not here"):
                list(do([1]))


def test_other_libraries_in_a_worker_are_refused(ray, monkeypatch):
    monkeypatch.setattr("cot.workers.worker.versions", lambda: {"torch": "1.0+cpu", "vllm": "9"})
    monkeypatch.setattr(pool, "versions", lambda: {"torch": "2.0", "transformers": "5"})
    with pytest.raises(InputError, match=r"torch 1\.0\+cpu there and 2\.0 here: install the same"):
        results(Squares(), [1], ray)
    monkeypatch.setattr(pool, "versions", lambda: {"torch": "1.0+cu130"})
    assert results(Squares(), [2], ray) == [(2, 4)]


# -- dependence, cancelling, laziness --------------------------------------------------------------


class Slow:
    """A work whose items take as long as they say; asks `dropped` as an engine does."""

    @contextmanager
    def open(self):
        def work(given):
            running = {}
            for each in given:
                if each is not None:
                    running[each[0]] = list(each)
                    continue
                for number, (_, item) in list(running.items()):
                    if given.dropped(number):
                        del running[number]
                        continue
                    item[1] -= 1
                    if item[1] <= 0:
                        del running[number]
                        yield number, item[0], True
                time.sleep(0.001)

        yield work


def test_what_depends_on_a_result_waits_for_it(ray):
    ended = set()

    def items():
        yield ["first", 2]
        yield ["long", 300]
        while "first" not in ended:
            yield None
        assert "long" not in ended
        yield ["last", 2]

    with Workers(Slow(), Cluster(workers=2), room=10) as workers:
        for _, name in workers.run(items()):
            ended.add(name)
    assert ended == {"first", "long", "last"}


def test_a_cancelled_item_gives_nothing_and_makes_room(ray):
    ended = []
    asked = [["short", 1], *(["endless", 10**9] for _ in range(2)), ["after", 1]]

    def cancelled(item):
        return bool(ended) and item[1] > 10**6

    with Workers(Slow(), Cluster(workers=1), room=3) as workers:
        for item, _ in workers.run(iter(asked), cancelled):
            ended.append(item[0])
    assert ended == ["short", "after"]


def test_items_are_pulled_as_there_is_room(ray):
    pulled = count()
    items = ([next(pulled), 1] for _ in iter(int, 1))
    with Workers(Slow(), Cluster(workers=2), room=5) as workers:
        running = workers.run(items)
        next(running)
        running.close()
        assert next(pulled) <= 2 * 5 + 10
        assert [name for _, name in workers.run([["later", 1]])] == ["later"], (
            "what was left undone is no result of a later call"
        )


def test_alike_items_share_a_worker_unless_another_has_much_less_to_do(ray):
    with Workers(Slow(), Cluster(workers=2), room=100) as workers:
        workers._meet()
        items = iter([["a", 10**9]] * 4 + [["b", 10**9]] * 4)
        workers._give(items, False, deque(), lambda item: False, lambda item: item[0])
        held = [{each.item[0] for each in seat.held.values()} for seat in workers._seats]
        assert held == [{"a"}, {"b"}]


# -- what a worker is given ------------------------------------------------------------------------


def test_given_waits_only_where_nothing_is_being_done():
    given = Given()
    given.put([(0, "a"), (1, "b")])
    assert [next(given), next(given), next(given)] == [(0, "a"), (1, "b"), None]
    given.drop([1])
    assert not given.dropped(0)
    assert given.dropped(1)
    given.done(0)
    threading.Timer(0.05, given.put, [[(2, "c")]]).start()
    assert next(given) == (2, "c"), "it waited, as nothing was being done"
    given.drop([3])
    given.put([(3, "d"), (4, "e")])
    assert next(given) == (4, "e"), "what was dropped before it was begun is passed over"
    given.end()
    assert list(given) == []


def test_workers_are_counted_from_one():
    with pytest.raises(InputError, match="workers is 0: give at least 1"):
        Cluster(workers=0)
    assert cluster_of(None) is None
    assert cluster_of(2, "cpu") == Cluster(workers=2, gpus=0)
    with pytest.raises(InputError, match="leave --workers out"):
        cluster_of(2, "auto")


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr("cot.workers.cluster.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'consilience\[ray\]'"):
        Workers(Slow(), Cluster(workers=1), room=1)


def test_lost_says_why():
    assert Lost(problem="p").problem == "p"
