"""What fields of the format have in common: no conversions, bounded numbers, bounded text."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=1000)]
Extent = Annotated[int, Field(ge=1, le=2**31 - 1)]
Count = Annotated[int, Field(ge=0, le=2**62)]
Small = Annotated[int, Field(ge=-(2**31), le=2**31 - 1)]
Positive = Annotated[int, Field(ge=1, le=2**16)]
Padding = Annotated[int, Field(ge=0, le=2**16)]
Scale = Annotated[float, Field(gt=0)]
RuleText = Annotated[str, Field(max_length=10_000)]
Features = Annotated[tuple[Extent, ...], Field(max_length=16)]


class Strict(BaseModel):
    """No unknown fields, no conversions, no NaN."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
