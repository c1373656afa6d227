"""When a population works: physical timesteps of Lava to samples and timesteps of the contract."""

from __future__ import annotations

from typing import NamedTuple


class Moment(NamedTuple):
    """A timestep of a sample."""

    sample: int
    timestep: int


class Window(NamedTuple):
    """The physical timesteps in which one population works.

    Sample ``n`` occupies physical timesteps ``n * period + lag + 1`` to ``n * period + lag + timesteps``;
    Lava counts from 1.

    Attributes:
        period: Physical timesteps from one sample to the next, at least ``timesteps``.
        timesteps: Timesteps per sample.
        lag: Physical timesteps by which the population is behind the inputs.
    """

    period: int
    timesteps: int
    lag: int

    def locate(self, step: int) -> Moment | None:
        """Say which timestep of which sample a physical timestep is, or None outside the window.

        >>> Window(period=5, timesteps=3, lag=1).locate(7)
        Moment(sample=1, timestep=0)
        >>> Window(period=5, timesteps=3, lag=1).locate(5) is None
        True
        """
        since = step - 1 - self.lag
        if since < 0:
            return None
        sample, timestep = divmod(since, self.period)
        return Moment(sample, timestep) if timestep < self.timesteps else None
