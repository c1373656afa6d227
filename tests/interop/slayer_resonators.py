"""slayer's blocks of resonators, ``rf`` and ``rf_iz``: run by slayer and by hsnn, equal in every spike."""

from __future__ import annotations

from registry import POLICY, REFUSED, construct
from slayer import LIBRARY, SLAYER, _refuse, assert_equal, cuba, fired, neuron, slayer

rf, rf_iz = slayer.block.rf, slayer.block.rf_iz
KINDS = (rf, rf_iz)
EXPORT = SLAYER + "; slayer's export_hdf5 fails on complex synapses but dense ones, the test mends that"


def resonator(**changes):
    """Parameters of neurons, a dict for each block."""
    return {"threshold": 0.5, "period": 7.3, "decay": 0.08} | changes


@construct(LIBRARY, "rf.Dense and rf_iz.Dense", POLICY, note=SLAYER)
def dense():
    for kind in KINDS:
        assert_equal(
            lambda shift, kind=kind: [
                kind.Dense(resonator(), 12, 20, weight_scale=4, delay_shift=shift),
                kind.Dense(resonator(period=4, decay=0.3), 20, 16, weight_scale=8, delay_shift=shift),
            ],
            fired(20, 12, rate=0.5),
        )


@construct(LIBRARY, "rf and rf_iz beside cuba, with axonal delays and weight norm", POLICY, note=SLAYER)
def mixed():
    for kind in KINDS:
        assert_equal(
            lambda shift, kind=kind: [
                cuba.Dense(neuron(), 12, 20, weight_scale=4, delay=True, delay_shift=shift),
                kind.Dense(resonator(), 20, 20, weight_scale=4, weight_norm=True, delay=True, delay_shift=shift),
                cuba.Dense(neuron(), 20, 6, weight_scale=8, delay_shift=shift),
            ],
            fired(21, 12, rate=0.5),
        )


def with_geometry(block):
    """Give a complex synapse what ``export_hdf5`` asks it for and only its two parts have."""
    part = block.synapse.real
    geometry = ("in_channels", "out_channels", "kernel_size", "stride", "padding", "dilation", "groups")
    for name in (*geometry, "weight_norm_enabled"):
        setattr(block.synapse, name, getattr(part, name))
    return block


@construct(LIBRARY, "rf and rf_iz: Conv, Pool and Flatten, with groups, strides and delays", POLICY, note=EXPORT)
def conv():
    for kind in KINDS:
        assert_equal(
            lambda shift, kind=kind: [
                with_geometry(kind.Conv(resonator(), 2, 6, 3, padding=1, weight_scale=4, delay_shift=shift)),
                with_geometry(kind.Pool(resonator(), 2, weight_scale=1.5, delay_shift=shift)),
                with_geometry(
                    kind.Conv(resonator(), 6, 4, 3, stride=2, groups=2, weight_scale=4, delay=True, delay_shift=shift)
                ),
                kind.Flatten(),
                kind.Dense(resonator(), 16, 5, weight_scale=8, delay_shift=shift),
            ],
            fired(22, 2, 9, 10, rate=0.5),
            shape=(2, 9, 10),
        )


@construct(LIBRARY, "rf and rf_iz: ConvT and Unpool", POLICY, note=EXPORT)
def transposed():
    for kind in KINDS:
        assert_equal(
            lambda shift, kind=kind: [
                with_geometry(kind.ConvT(resonator(), 3, 4, 3, stride=2, padding=1, weight_scale=5, delay_shift=shift)),
                with_geometry(kind.Unpool(resonator(threshold=0.3), 2, weight_scale=1.5, delay_shift=shift)),
            ],
            fired(23, 3, 3, 4, rate=0.5),
            shape=(3, 3, 4),
        )


@construct(LIBRARY, "rf and rf_iz: periods and decays per channel (shared_param=False)", POLICY, note=SLAYER)
def each():
    settings = {"shared_param": False, "period": (4, 20), "decay": (0.01, 0.3)}
    for kind in KINDS:
        assert_equal(
            lambda shift, kind=kind: [kind.Dense(resonator(**settings), 12, 20, weight_scale=4, delay_shift=shift)],
            fired(24, 12, rate=0.5),
        )


@construct(
    LIBRARY, "rf with graded spikes", REFUSED, code="HSNN-F072", note="spikes would carry states; netx ignores it"
)
def graded():
    _refuse(rf.Dense(resonator(graded_spike=True), 12, 20, weight_scale=4), x=fired(27, 12))


@construct(LIBRARY, "adrf blocks", REFUSED, code="HSNN-F072", note="not compiled yet; netx takes them for rf")
def adaptive():
    settings = {"threshold": 0.5, "threshold_step": 0.1, "period": 8, "decay": 0.1}
    settings |= {"threshold_decay": 0.1, "refractory_decay": 0.1}
    _refuse(slayer.block.adrf.Dense(settings, 12, 20, weight_scale=4), x=fired(28, 12))
