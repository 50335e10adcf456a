"""Counts and clocks of a training."""

from __future__ import annotations

from textclf_torch.meter import HostClock, Monitor


def test_laps_add_up_and_cost_nothing():
    took = []
    for _ in range(5):
        clock = HostClock()
        for _ in range(2000):
            clock.lap("forward")
            clock.lap("backward")
        took.append(sum(clock.parts().values()))
    # 4,000 laps, of which a step of training has about ten. The least counts: other work may interrupt some tries.
    assert min(took) < 0.1
    assert Monitor().padding() == 0.0
