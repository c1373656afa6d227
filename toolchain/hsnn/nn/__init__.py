"""Torch layers for hybrid networks: encoders, neurons, decoders.

Spike trains are ``(timestep, batch, *feature)``. Between an encoder and a decoder, ``nn.Linear`` works as it
is; wrap layers that need one batch axis in :class:`TimeDistributed`. State is zero at the start of every call.
"""

from __future__ import annotations

from hsnn.libraries import named_if_missing

with named_if_missing():
    from hsnn.nn.adaptive import AdaptiveLif
    from hsnn.nn.bit_plane_encode import BitPlaneEncode
    from hsnn.nn.bit_planes import has8, matched
    from hsnn.nn.counting import CountingLif, RecurrentCountingLif
    from hsnn.nn.decoders import MembraneDecode, RateDecode, TrainDecode, WeightedSumDecode, WindowSumDecode
    from hsnn.nn.encoders import DirectEncode, GradedEncode, PoissonEncode, RateEncode, TrainEncode
    from hsnn.nn.fixed import (
        FixedLeakyIntegrator,
        FixedLif,
        FixedRecurrentLif,
    )
    from hsnn.nn.fixed_adaptive import FixedAdaptiveLif, FixedRecurrentAdaptiveLif
    from hsnn.nn.fixed_sigma_delta import FixedDelta, FixedSigmaDelta
    from hsnn.nn.integrator import LeakyIntegrator
    from hsnn.nn.neurons import Lif, RecurrentLif
    from hsnn.nn.over_time import KeepOutputs, MergedTime, OverTime, TimeFirst
    from hsnn.nn.resonate import FixedResonateFire, ResonateFire
    from hsnn.nn.sigma_delta import Delta, SigmaDelta
    from hsnn.nn.structure import AxonalDelay, Delay, MergeTime, SplitTime, TimeDistributed
    from hsnn.nn.surrogate import Atan, FastSigmoid, Surrogate, Triangle

__all__ = [
    "AdaptiveLif",
    "Atan",
    "AxonalDelay",
    "BitPlaneEncode",
    "CountingLif",
    "Delay",
    "Delta",
    "DirectEncode",
    "FastSigmoid",
    "FixedAdaptiveLif",
    "FixedDelta",
    "FixedLeakyIntegrator",
    "FixedLif",
    "FixedRecurrentAdaptiveLif",
    "FixedRecurrentLif",
    "FixedResonateFire",
    "FixedSigmaDelta",
    "GradedEncode",
    "KeepOutputs",
    "LeakyIntegrator",
    "Lif",
    "MembraneDecode",
    "MergeTime",
    "MergedTime",
    "OverTime",
    "PoissonEncode",
    "RateDecode",
    "RateEncode",
    "RecurrentCountingLif",
    "RecurrentLif",
    "ResonateFire",
    "SigmaDelta",
    "SplitTime",
    "Surrogate",
    "TimeDistributed",
    "TimeFirst",
    "TrainDecode",
    "TrainEncode",
    "Triangle",
    "WeightedSumDecode",
    "WindowSumDecode",
    "has8",
    "matched",
]
