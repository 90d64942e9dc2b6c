"""Which trial starts on which worker: never more than fits, longest first, nobody starves."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from evogan.engine.executors.placement import ALONE, Device, Placement

GB = 1e9


@dataclass
class Cluster:
    """Devices of some memory with some workers each, and what runs on them."""

    devices: list[tuple[float, int]]
    placement: Placement[int, str] = field(default_factory=Placement)
    memory: dict[int, float] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)
    home: dict[str, int] = field(default_factory=dict)
    started: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        for i, (memory, workers) in enumerate(self.devices):
            for j in range(workers):
                self.home[f"{i}.{j}"] = i
                self.placement.join(f"{i}.{j}", Device(f"device {i}", memory))

    def add(self, trial: int, seconds: float, memory: float) -> None:
        self.memory[trial] = memory
        self.placement.add(trial, seconds, memory)

    def start(self) -> None:
        """Start all that can, and hold every start against what a device has."""
        while (placed := self.placement.place()) is not None:
            trial, worker = placed
            assert worker in self.home and worker not in self.running
            self.running[worker] = trial
            self.started.append(trial)
            device = self.home[worker]
            here = [self.memory[t] for w, t in self.running.items() if self.home[w] == device]
            assert len(here) == 1 or sum(here) <= self.devices[device][0] * (1 + 1e-9)
            assert len(here) == 1 or ALONE not in here

    def end(self, worker: str) -> int:
        self.placement.free(worker)
        return self.running.pop(worker)

    def lose(self, worker: str) -> int | None:
        self.placement.lost(worker)
        del self.home[worker]
        return self.running.pop(worker, None)


@given(st.data())
@settings(max_examples=300)
def test_whatever_comes_and_goes_never_more_runs_than_fits_and_all_is_placed_in_the_end(data: st.DataObject) -> None:
    sizes = st.sampled_from([8 * GB, 24 * GB, 80 * GB])
    cluster = Cluster(data.draw(st.lists(st.tuples(sizes, st.integers(1, 4)), min_size=1, max_size=4)))
    memories = st.sampled_from([0.0, ALONE]) | st.floats(0.1 * GB, 100 * GB)
    trial, withdrawn = 0, 0
    for action in data.draw(st.lists(st.sampled_from("aaaaeeelw"), max_size=60)):
        if action == "a":
            cluster.add(trial, data.draw(st.floats(0, 100)), data.draw(memories))
            trial += 1
        elif action == "e" and cluster.running:
            cluster.end(data.draw(st.sampled_from(sorted(cluster.running))))
        elif action == "l" and len(cluster.home) > 1:
            lost = cluster.lose(data.draw(st.sampled_from(sorted(cluster.home))))
            if lost is not None:
                cluster.add(lost, math.inf, cluster.memory[lost])
                withdrawn -= 1  # it starts twice
        elif action == "w":
            names = cluster.placement.withdraw()
            assert len(set(names)) == len(names)
            withdrawn += len(names)
        cluster.start()
    while len(cluster.placement):
        assert cluster.running, "something waits, nothing runs, and it does not start"
        cluster.end(min(cluster.running))
        cluster.start()
    assert len(cluster.started) == trial - withdrawn


def test_of_what_comes_together_the_longest_goes_first_and_of_equals_the_one_that_came_first() -> None:
    cluster = Cluster([(GB, 8)])
    for trial in range(8):
        cluster.add(trial, 0.0, 0.0)
    cluster.start()
    for trial, seconds in enumerate([5.0, 9.0, 1.0, 9.0, 5.0], 8):
        cluster.add(trial, seconds, 0.0)
    for _ in range(5):
        cluster.end(min(cluster.running))
        cluster.start()
    assert cluster.started[8:] == [9, 11, 8, 12, 10]


def test_a_long_one_goes_before_those_that_would_start_sooner_by_less_than_its_length() -> None:
    cluster = Cluster([(GB, 2)])
    for trial in range(12):  # two at a time: number k would start k / 2 seconds after the first
        cluster.add(trial, 1.0, 0.0)
    cluster.add(12, 4.0, 0.0)
    while len(cluster.placement):
        cluster.start()
        cluster.end(min(cluster.running))
    assert cluster.started == [0, 1, 2, 3, 4, 5, 6, 12, 7, 8, 9, 10, 11]


def test_free_devices_are_filled_before_busy_ones() -> None:
    cluster = Cluster([(80 * GB, 4), (80 * GB, 4)])
    for trial in range(4):
        cluster.add(trial, 1.0, 10 * GB)
    cluster.start()
    assert Counter(cluster.home[worker] for worker in cluster.running) == {0: 2, 1: 2}


def test_a_small_one_goes_past_a_big_one_that_does_not_fit_yet() -> None:
    cluster = Cluster([(80 * GB, 4)])
    cluster.add(0, 5.0, 50 * GB)
    cluster.add(1, 9.0, 50 * GB)
    cluster.add(2, 1.0, 20 * GB)
    cluster.start()
    assert cluster.started == [1, 2]


def test_a_big_one_does_not_wait_for_ever_while_small_ones_keep_coming() -> None:
    for memory in (70 * GB, ALONE):
        for seconds in (100.0, 0.0):  # the first in line, and the last
            cluster = Cluster([(80 * GB, 4)])
            for trial in range(1, 5):
                cluster.add(trial, 1.0, 20 * GB)
            cluster.start()
            cluster.add(0, seconds, memory)
            trial = 5
            while 0 not in cluster.started and trial < 1000:
                cluster.end(next(iter(cluster.running)))
                cluster.add(trial, 1.0, 20 * GB)
                cluster.start()
                trial += 1
            assert 0 in cluster.started and trial < 200


def test_a_short_one_does_not_wait_for_ever_while_long_ones_keep_coming() -> None:
    cluster = Cluster([(GB, 2)])
    cluster.add(0, 0.1, 0.0)
    for trial in range(1, 500):
        cluster.add(trial, 10.0, 0.0)
        cluster.start()
        if len(cluster.running) == 2:
            cluster.end(min(cluster.running))
    assert 0 in cluster.started


def test_what_fits_no_device_runs_alone_on_one_of_the_largest() -> None:
    cluster = Cluster([(24 * GB, 2), (80 * GB, 2), (79 * GB, 2)])
    for trial in range(3):
        cluster.add(trial, 1.0, 100 * GB)
    cluster.start()
    assert sorted(cluster.home[worker] for worker in cluster.running) == [1, 2]
    cluster.lose("1.0"), cluster.lose("1.1"), cluster.lose("2.0"), cluster.lose("2.1")
    cluster.start()
    assert [cluster.home[worker] for worker in cluster.running] == [0]  # the largest there is now


def test_the_placement_of_many_is_fast_enough_to_be_no_matter() -> None:
    """Work per start, in looked-at entries, must not grow with the workers: counted, not timed."""

    class Counting(float):
        looks = 0

        def __le__(self, other: float) -> bool:
            Counting.looks += 1
            return float.__le__(self, other)

    def looks(workers: int) -> float:
        cluster: Placement[int, int] = Placement()
        for worker in range(workers):
            cluster.join(worker, Device(f"gpu {worker // 8}", 80 * GB))
        for trial in range(4 * workers):
            cluster.add(trial, trial % 97, Counting((5 + trial % 13) * GB))
        Counting.looks, starts, busy = 0, 0, []
        for trial in range(4 * workers, 8 * workers):
            while (placed := cluster.place()) is not None:
                busy.append(placed[1])
                starts += 1
            cluster.free(busy.pop(trial * 7919 % len(busy)))
            cluster.add(trial, trial % 97, Counting((5 + trial % 13) * GB))
        return Counting.looks / starts

    assert looks(2048) < 2 * looks(128)
