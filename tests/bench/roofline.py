"""What this processor can do at best, in the instructions of a tier: peaks that the emulator is held against.

Small loops in LLVM's own language, apart from the emulator's kernels: products of bytes, rows of weights added
for spikes, and updates of neurons, all with operands in the first-level cache and sums in registers. They take turns
with what is measured, so peaks and figures come from the same moments.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding
from section import Column, Row, Section, Settings
from turns import Work, take_turns

from hsnn_targets.emulator.heap import aligned
from hsnn_targets.emulator.tiers import usable_tiers

TAPS, STEPS, NEURONS = 64, 64, 64
"""Words of four bytes of a product, and timesteps and neurons of an update: 16 KiB at most."""
FAR_ROWS = 2048
"""Rows of 128 bytes that no first-level cache holds, and every second-level one does."""
ROUNDS = 400
"""Passes over them in one call: about a millisecond."""
FEATURES = {
    "portable": "",
    "avx2": "+avx2",
    "avx512": "+avx2,+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512vnni",
    "amx": "+avx2,+avx512f,+avx512bw,+avx512dq,+avx512vl,+avx512vnni,+amx-tile,+amx-int8",
}


@dataclass(frozen=True, slots=True)
class Kernel:
    """A loop: LLVM's text, and how much it does in one pass."""

    text: str
    amount: int


class Text:
    """Lines of one function ``void name(i64 rounds, ptr a, ptr b, ptr out)``: a loop in a loop.

    Every name that ends in ``.N`` is a value; ``sums`` stay in registers over both loops.
    """

    def __init__(self, name: str, kind: str, sums: int, trips: int) -> None:
        self.name, self.kind, self.sums, self.trips = name, kind, sums, trips
        self.lines: list[str] = []
        self.count = 0

    def add(self, text: str) -> str:
        """Add an instruction that has a value."""
        self.count += 1
        self.lines.append(f"%x{self.count} = {text}")
        return f"%x{self.count}"

    def do(self, text: str) -> None:
        """Add an instruction without a value."""
        self.lines.append(text)

    def load(self, kind: str, base: str, offset: int, stride: int) -> str:
        """Load at ``base[offset + stride * k]``, in bytes."""
        at = self.add(f"mul i64 %k, {stride}")
        at = self.add(f"add i64 {at}, {offset}")
        place = self.add(f"getelementptr i8, ptr %{base}, i64 {at}")
        return self.add(f"load {kind}, ptr {place}, align 1")

    def splat(self, scalar: str, lanes: int) -> str:
        """Repeat a 32-bit number."""
        one = self.add(f"insertelement <{lanes} x i32> poison, i32 {scalar}, i32 0")
        return self.add(f"shufflevector <{lanes} x i32> {one}, <{lanes} x i32> poison, <{lanes} x i32> zeroinitializer")

    def function(self, after: list[str], declarations: str) -> str:
        """Close the function; ``after`` is what the sums become."""
        kind, places = self.kind, range(self.sums)
        outer = "\n".join(f"%o{i} = phi {kind} [ zeroinitializer, %entry ], [ %s{i}, %outer.end ]" for i in places)
        inner = "\n".join(f"%s{i} = phi {kind} [ %o{i}, %outer ], [ {after[i]}, %body ]" for i in places)
        stores = "\n".join(
            f"%p{i} = getelementptr {kind}, ptr %out, i64 {i}\nstore {kind} %o{i}, ptr %p{i}, align 1" for i in places
        )
        body = "\n".join(self.lines)
        return f"""{declarations}
define void @{self.name}(i64 %rounds, ptr %a, ptr %b, ptr %out) {{
entry:
  br label %outer
outer:
%r = phi i64 [ 0, %entry ], [ %r.next, %outer.end ]
{outer}
%more = icmp slt i64 %r, %rounds
br i1 %more, label %inner, label %done
inner:
%k = phi i64 [ 0, %outer ], [ %k.next, %body ]
{inner}
%going = icmp slt i64 %k, {self.trips}
br i1 %going, label %body, label %outer.end
body:
{body}
%k.next = add i64 %k, 1
br label %inner
outer.end:
%r.next = add i64 %r, 1
br label %outer
done:
{stores}
ret void
}}
"""


def product(tier: str) -> Kernel | None:
    """Products of bytes: rows of spikes (``a``) by 16 neurons' weights (``b``); the portable tier has none."""
    if tier == "avx2":
        return _product_avx2()
    if tier == "avx512":
        return _product_avx512()
    return _product_amx() if tier == "amx" else None


def _product_avx2() -> Kernel:
    text = Text("product", "<16 x i16>", 8, TAPS)
    weights = [text.load("<32 x i8>", "b", 32 * half, 64) for half in (0, 1)]
    after = []
    for row in range(4):
        word = text.load("i32", "a", row * 4 * TAPS, 4)
        spread = text.add(f"bitcast <8 x i32> {text.splat(word, 8)} to <32 x i8>")
        for half in (0, 1):
            pairs = f"call <16 x i16> @llvm.x86.avx2.pmadd.ub.sw(<32 x i8> {spread}, <32 x i8> {weights[half]})"
            after.append(text.add(f"add <16 x i16> %s{2 * row + half}, {text.add(pairs)}"))
    declared = "declare <16 x i16> @llvm.x86.avx2.pmadd.ub.sw(<32 x i8>, <32 x i8>)"
    return Kernel(text.function(after, declared), 4 * 16 * 4 * TAPS)


def _product_avx512() -> Kernel:
    text = Text("product", "<16 x i32>", 16, TAPS)
    weights = [text.load("<64 x i8>", "b", 64 * TAPS * block, 64) for block in (0, 1)]
    after = []
    for row in range(8):
        word = text.load("i32", "a", row * 4 * TAPS, 4)
        spread = text.add(f"bitcast <16 x i32> {text.splat(word, 16)} to <64 x i8>")
        for block in (0, 1):
            dots = "call <16 x i32> @llvm.x86.avx512.vpdpbusd.512"
            operands = f"<16 x i32> %s{2 * row + block}, <64 x i8> {spread}, <64 x i8> {weights[block]}"
            after.append(text.add(f"{dots}({operands})"))
    declared = "declare <16 x i32> @llvm.x86.avx512.vpdpbusd.512(<16 x i32>, <64 x i8>, <64 x i8>)"
    return Kernel(text.function(after, declared), 8 * 32 * 4 * TAPS)


def _product_amx() -> Kernel:
    """Two tiles of sums share one of spikes; few tiles at a time were fastest on shared cores."""
    text = Text("product", "i64", 1, TAPS // 16)
    at = text.add("mul i64 %k, 1024")
    spikes, weights = (text.add(f"getelementptr i8, ptr %{base}, i64 {at}") for base in "ab")
    more = text.add(f"getelementptr i8, ptr {weights}, i64 4096")
    text.do(f"call void @llvm.x86.tileloadd64(i8 2, ptr {spikes}, i64 64)")
    for tile, place in ((0, weights), (1, more)):
        text.do(f"call void @llvm.x86.tileloadd64(i8 3, ptr {place}, i64 64)")
        text.do(f"call void @llvm.x86.tdpbusd(i8 {tile}, i8 2, i8 3)")
    declared = "declare void @llvm.x86.tileloadd64(i8, ptr, i64)\ndeclare void @llvm.x86.tdpbusd(i8, i8, i8)\n"
    declared += "declare void @llvm.x86.ldtilecfg(ptr)\ndeclare void @llvm.x86.tilerelease()"
    whole = text.function(["%s0"], declared)
    whole = whole.replace("entry:\n", "entry:\n  call void @llvm.x86.ldtilecfg(ptr %out)\n")
    return Kernel(whole.replace("ret void", "call void @llvm.x86.tilerelease()\nret void"), 16 * 32 * 4 * TAPS)


def rows(tier: str, name: str = "rows", count: int = TAPS) -> Kernel:
    """Rows of bytes (``b``) added to 16-bit sums of 128 neurons: what an event costs at least.

    Two bytes share a lane; the sum of whole lanes and that of their high bytes give both. So many rows that they
    outgrow the first-level cache tell what an event of a larger layer costs.
    """
    lanes = {"portable": 16, "avx2": 16}.get(tier, 32)
    parts = 64 // lanes
    text = Text(name, f"<{lanes} x i16>", 2 * parts, count)
    after = []
    for part in range(parts):
        row = text.load(f"<{lanes} x i16>", "b", 2 * part * lanes, 128)
        high = text.add(f"ashr <{lanes} x i16> {row}, {_constant(lanes, 'i16', 8)}")
        after += [text.add(f"add <{lanes} x i16> %s{2 * part + k}, {value}") for k, value in enumerate((row, high))]
    return Kernel(text.function(after, ""), 128 * count)


def update(tier: str) -> Kernel:
    """Updates of LIF neurons: currents and voltages in registers, input from ``a``, spikes counted.

    The decay is that of ``hsnn.ir.arithmetic``. With vectors of floats it is one product that is rounded toward zero
    (exact up to ``2**24``); the caller has set that rounding for AVX2, AVX-512 has it in the instruction.
    """
    lanes = {"portable": 8, "avx2": 8}.get(tier, 16)
    groups = 4 if lanes == 16 else 3
    ints = f"<{lanes} x i32>"
    text = Text("update", ints, 3 * groups, STEPS)
    after: list[str] = []
    for group in range(groups):
        got = text.load(ints, "a", group * lanes * 4, NEURONS * 4)
        # A spike clears its voltage where this decays: comparing and converting overlap.
        before = f"%s{3 * group + 1}"
        fired = text.add(f"icmp sgt {ints} {before}, {_constant(lanes, 'i32', 1 << 18)}")
        decayed = [_shrink(text, tier, f"%s{3 * group}", lanes), _shrink(text, tier, before, lanes, cleared=fired)]
        current = text.add(f"add {ints} {decayed[0]}, {got}")
        moved = text.add(f"add {ints} {decayed[1]}, {current}")
        moved = text.add(f"add {ints} {moved}, {_constant(lanes, 'i32', 80)}")
        flags = text.add(f"sext <{lanes} x i1> {fired} to {ints}")
        after += [current, moved, text.add(f"sub {ints} %s{3 * group + 2}, {flags}")]
    floats = f"<{lanes} x float>"
    declared = {
        "portable": "",
        "avx2": f"declare {ints} @llvm.x86.avx.cvtt.ps2dq.256({floats})\ndeclare void @llvm.x86.sse.ldmxcsr(ptr)\n"
        "define void @round(ptr %word) {\ncall void @llvm.x86.sse.ldmxcsr(ptr %word)\nret void\n}",
    }.get(tier, f"declare {floats} @llvm.x86.avx512.mul.ps.512({floats}, {floats}, i32)")
    return Kernel(text.function(after, declared), groups * lanes * STEPS)


def _shrink(text: Text, tier: str, state: str, lanes: int, cleared: str = "") -> str:
    """A state times 3072 / 4096, cut toward zero; 0 where it is cleared."""
    ints, longs, floats = f"<{lanes} x i32>", f"<{lanes} x i64>", f"<{lanes} x float>"
    if tier == "portable":
        wide = text.add(f"sext {ints} {state} to {longs}")
        grown = text.add(f"mul {longs} {wide}, {_constant(lanes, 'i64', 3072)}")
        grown = _cleared(text, cleared, longs, grown, lanes)
        cut = text.add(f"sdiv {longs} {grown}, {_constant(lanes, 'i64', 4096)}")
        return text.add(f"trunc {longs} {cut} to {ints}")
    value, keep = text.add(f"sitofp {ints} {state} to {floats}"), _constant(lanes, "float", 0.75)
    if tier == "avx2":
        grown = _cleared(text, cleared, floats, text.add(f"fmul {floats} {value}, {keep}"), lanes)
        return text.add(f"call {ints} @llvm.x86.avx.cvtt.ps2dq.256({floats} {grown})")
    grown = text.add(f"call {floats} @llvm.x86.avx512.mul.ps.512({floats} {value}, {floats} {keep}, i32 11)")
    return text.add(f"fptosi {floats} {_cleared(text, cleared, floats, grown, lanes)} to {ints}")


def _cleared(text: Text, flags: str, kind: str, value: str, lanes: int) -> str:
    return text.add(f"select <{lanes} x i1> {flags}, {kind} zeroinitializer, {kind} {value}") if flags else value


def _constant(lanes: int, kind: str, value: float) -> str:
    return f"<{', '.join([f'{kind} {value}'] * lanes)}>"


@cache
def compiled(tier: str, kernel: Kernel, name: str) -> Callable[..., None]:
    """Compile a loop for this processor, with the features of the tier."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    native = target.create_target_machine(
        cpu=binding.get_host_cpu_name(), features=binding.get_host_cpu_features().flatten(), opt=3
    )
    module = binding.parse_assembly(kernel.text)
    module.verify()
    options = binding.create_pipeline_tuning_options(speed_level=3)
    options.loop_unrolling = False  # sums would leave the registers
    builder = binding.create_pass_builder(native, options)
    builder.getModulePassManager().run(module, builder)
    engine = binding.create_mcjit_compiler(module, native)
    engine.finalize_object()
    _ENGINES.append(engine)
    types = [ctypes.c_int64, *[ctypes.c_void_p] * 3]
    function: Any = ctypes.CFUNCTYPE(None, *types)(engine.get_function_address(name))
    if name == "update" and tier == "avx2":
        return _rounding(function, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(engine.get_function_address("round")))
    return function


_ENGINES: list[object] = []
"""Machine code lives as long as what compiled it."""


def _rounding(function: Any, set_rounding: Any) -> Callable[..., None]:
    """Round toward zero within a call (bits 13 and 14 of MXCSR), and to the nearest after it."""
    toward_zero, nearest = ctypes.c_uint32(0x7F80), ctypes.c_uint32(0x1F80)

    def call(*arguments: Any) -> None:
        set_rounding(ctypes.byref(toward_zero))
        function(*arguments)
        set_rounding(ctypes.byref(nearest))

    return call


@dataclass(slots=True)
class Peaks:
    """The loops of one tier on some threads.

    Attributes:
        tier: A tier of this processor.
        threads: How many run the same loop at once, each with memory of its own.
    """

    tier: str
    threads: int
    amounts: dict[str, int] = field(init=False, default_factory=dict)
    ways: dict[str, Work] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        kernels = {
            "product": product(self.tier),
            "rows": rows(self.tier),
            "far": rows(self.tier, "far", FAR_ROWS),
            "update": update(self.tier),
        }
        for name, kernel in kernels.items():
            if kernel is None:
                continue
            rounds = ROUNDS * TAPS // FAR_ROWS if name == "far" else ROUNDS
            self.amounts[name] = kernel.amount * rounds * self.threads
            self.ways[name] = self._work(compiled(self.tier, kernel, name), rounds)

    def _work(self, function: Callable[..., None], rounds: int) -> Work:
        memory = [operands() for _ in range(self.threads)]
        pool = ThreadPoolExecutor(self.threads) if self.threads > 1 else None

        def once(a: Any, b: Any, out: Any) -> None:
            function(rounds, a.ctypes.data, b.ctypes.data, out.ctypes.data)

        def work() -> None:
            if pool is None:
                once(*memory[0])
            else:
                list(pool.map(lambda own: once(*own), memory))

        return work


def operands() -> tuple[Any, Any, Any]:
    """Random bytes for ``a`` and ``b``; ``out`` starts with the shapes of tiles of 16 rows of 64 bytes."""
    rng = np.random.default_rng(0)
    a, b, out = aligned(STEPS * NEURONS, np.int32), aligned(128 * FAR_ROWS, np.uint8), aligned(4096, np.uint8)
    a[:] = rng.integers(0, 1 << 16, a.size)
    b[:] = rng.integers(0, 256, b.size)
    out[0], out[16:32:2], out[48:56] = 1, 64, 16
    return a, b, out


def memory_rates(threads: int) -> dict[str, float]:
    """Gigabytes a second that threads copy, reading and writing counted, in memory and in the second-level cache."""
    found = {}
    with ThreadPoolExecutor(threads) as pool:
        for name, size, copies in (("memory", 1 << 27, 1), ("cache", 1 << 17, 400)):
            pairs = [(np.ones(size, np.uint8), np.zeros(size, np.uint8)) for _ in range(threads)]

            def copy(pair: tuple[Any, Any], copies: int = copies) -> None:
                for _ in range(copies):
                    np.copyto(pair[1], pair[0])

            seconds = take_turns({name: lambda pairs=pairs, copy=copy: list(pool.map(copy, pairs))}, 7)[name]
            found[name] = 2 * size * copies * threads / float(seconds.min()) / 1e9
    return found


def measure(settings: Settings) -> Iterator[Row]:
    """One row for each tier and number of threads."""
    for threads in settings.threads or settings.by_size((1,), (1, 2), (1, 2)):
        memory = memory_rates(threads)
        for tier in settings.tiers or usable_tiers():
            settings.tell(f"peaks of {tier}, {threads} threads")
            peaks = Peaks(tier, threads)
            seconds = take_turns(peaks.ways, settings.count(2, 15, 30))
            rates = {name: peaks.amounts[name] / taken / 1e9 for name, taken in seconds.items()}
            yield {
                "tier": tier,
                "threads": threads,
                **{name: float(np.median(rate)) for name, rate in rates.items()},
                **{f"{name}_best": float(rate.max()) for name, rate in rates.items()},
                "memory": memory["memory"],
                "cache": memory["cache"],
            }


COLUMNS = (
    Column("tier", "tier"),
    Column("threads", "threads", "d"),
    Column("product", "int8 products, G/s", ".0f"),
    Column("product_best", "best", ".0f"),
    Column("rows", "events: additions, G/s", ".0f"),
    Column("rows_best", "best", ".0f"),
    Column("far", "of rows in L2", ".0f"),
    Column("far_best", "best", ".0f"),
    Column("update", "LIF updates, G/s", ".2f"),
    Column("update_best", "best", ".2f"),
    Column("memory", "memory, GB/s", ".1f"),
    Column("cache", "L2, GB/s", ".0f"),
)
NOTES = """\
Loops of their own in the same instructions as each tier, operands in the first-level cache (but for rows that lie in
the second), sums and states in registers. They are what the processor can do, not what the emulator does. Products are
multiply-accumulates of bytes.
"""
SECTION = Section("peaks", "What this processor can do", COLUMNS, measure, NOTES)
