"""Random small programs in the language of kernels, as source."""

from __future__ import annotations

import numpy as np

LENGTHS = {"a": 6, "s": 5, "y": 7, "q": 4, "g": 4, "m": 4}
TABLE, OUT = (3, 4), 16
PARAMETERS = "a, s, y, q, g, m, t, x, out"
HEAD = """\
import numpy as np
from hsnn_targets.emulator.jit import inner, kernel, routine
"""
SIGNED = ("np.int8", "np.int16", "np.int32", "np.int64", "int")
UNSIGNED = ("np.uint8", "np.uint16", "np.uint32", "np.uint64")
EDGES = (0, 1, -1, 2, 7, 31, 63, 127, 128, -128, 255, 65535, 1 << 31, -(1 << 31), (1 << 63) - 1, -(1 << 63))


def values(seed):
    """Arrays for programs: small numbers and the ends of their types; the last is where results go."""
    rng = np.random.default_rng([seed, 3])

    def draw(dtype, shape):
        info = np.iinfo(dtype)
        edges = [x for x in EDGES if info.min <= x <= info.max] + [info.min, info.max, info.max - 1]
        return np.array([rng.choice(np.array(edges, dtype)) for _ in range(int(np.prod(shape)))], dtype).reshape(shape)

    floats = rng.choice(np.array([0.0, -0.5, 2.5, 1e10, -1e19, 1e19, 1e300, np.inf, np.nan, -7.75]), LENGTHS["g"])
    flags = rng.random(LENGTHS["m"]) < 0.5
    return [
        draw(np.int64, LENGTHS["a"]),
        draw(np.int16, LENGTHS["s"]),
        draw(np.uint8, LENGTHS["y"]),
        draw(np.uint64, LENGTHS["q"]),
        floats,
        flags,
        draw(np.int32, TABLE),
        int(rng.choice([-3, 0, 1, 5, 1 << 40])),
        np.zeros(OUT, np.int64),
    ]


class Programs:
    """Draws functions whose names hold one kind of number each: ``w`` words, ``u`` without a sign, ``f`` floats."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)
        self.helpers, self.loops = [], 0

    def module(self, count):
        """A module with a kernel ``programs`` that runs them all, each with a row of ``out`` of its own."""
        parts = [HEAD]
        for name, result in (("narrow", "np.int16"), ("wide", "int"), ("told", "bool")):
            parts.append(self.helper(name, result))
            self.helpers.append((name, result))
        parts += [self.program(number) for number in range(count)]
        calls = [f"    program{number}({PARAMETERS[:-3]}out[{number}])\n" for number in range(count)]
        parts.append(f"@kernel\ndef programs({PARAMETERS}) -> None:\n{''.join(calls)}")
        return "\n\n".join(parts)

    def pick(self, *options):
        return options[self.rng.integers(len(options))]

    def helper(self, name, result):
        self.scope = ["w0", "w1"]
        first, second, test = self.word(2), self.word(2), self.flag(2)
        mark = self.pick("@inner", "@routine")
        return (
            f"{mark}\ndef {name}(w0, w1, {PARAMETERS}) -> {result}:\n    u0, f0 = q[0], g[0]\n"
            f"    if {test}:\n        return {first}\n"
            f"    w0 = {second}\n    return {self.word(1)}\n"
        )

    def program(self, number):
        self.scope = ["w0", "w1", "w2"]
        lines = ["w0 = a[0]", "w1 = np.int32(a[1])", "w2 = s[2] > x", "u0 = np.uint64(y[1])", "f0 = g[0]"]
        for _ in range(self.rng.integers(3, 8)):
            lines += self.statement(2)
        lines += [f"out[{at}] += {self.word(1)}" for at in range(3)]
        lines += ["out[3] += w0", "out[4] += w1 ^ w2", "out[5] ^= np.int64(u0)", "out[6] += int(f0)"]
        body = "".join(f"    {line}\n" for line in lines)
        return f"{self.pick('@inner', '@routine')}\ndef program{number}({PARAMETERS}) -> None:\n{body}"

    def at(self, length):
        """An index within."""
        return self.pick(str(self.rng.integers(length)), f"({self.word(0)}) % {length}")

    def literal(self):
        return str(self.pick(*EDGES, *range(-6, 20)))

    def word(self, depth):
        """A number with a sign, or a flag."""
        if depth <= 0:
            name = self.pick(*self.scope)
            cell = self.pick(
                f"a[{self.rng.integers(6)}]", f"s[{self.rng.integers(5)}]", f"t[1, {self.rng.integers(4)}]"
            )
            return self.pick(name, name, cell, self.literal(), "x", "m[1]", "a.size", "t.shape[0]")
        one, other = self.word(depth - 1), self.word(depth - 1)
        kind = self.rng.integers(14)
        if kind < 6:
            return f"({one} {self.pick('+', '-', '*', '&', '|', '^', '//', '%')} {self.nonzero(other)})"
        if kind == 6:
            return f"({one} {self.pick('<<', '>>')} {self.pick(str(self.rng.integers(64)), self.name())})"
        if kind == 7:
            return f"{self.pick('-', '~')}({one})"
        if kind == 8:
            return self.pick(f"abs({self.pick(*SIGNED)}({one}))", f"{self.pick('min', 'max')}({one}, {other})")
        if kind == 9:
            return self.pick(f"{self.pick(*SIGNED)}({one})", f"np.int64({self.unsigned(depth - 1)})")
        if kind == 10:
            return f"({one} if {self.flag(depth - 1)} else {other})"
        if kind == 11:
            return self.pick(f"({self.flag(depth - 1)})", f"{self.pick(*SIGNED)}({self.real(depth - 1)})")
        if kind == 12 and self.helpers:
            name = self.helpers[self.rng.integers(len(self.helpers))][0]
            return f"{name}({one}, {other}, {PARAMETERS})"
        return self.pick(
            f"a[{self.at(6)}]", f"s[1:][{self.at(4)}]", f"t[{self.at(3)}][{self.at(4)}]", f"t[:, 1][{self.at(3)}]"
        )

    def nonzero(self, text):
        """A divisor is never known to be 0, which is refused."""
        return (
            self.name()
            if text.lstrip("(").startswith(("0", "-", "1", "2", "3", "4", "5", "6", "7", "8", "9"))
            else text
        )

    def name(self):
        return self.pick(*self.scope)

    def unsigned(self, depth):
        if depth <= 0:
            return self.pick("u0", f"y[{self.rng.integers(7)}]", f"q[{self.rng.integers(4)}]")
        one, other = self.unsigned(depth - 1), self.unsigned(depth - 1)
        return self.pick(
            f"({one} {self.pick('+', '-', '*', '&', '|', '^')} {other})",
            f"({one} {self.pick('//', '%')} u0)",
            f"({one} {self.pick('<<', '>>')} {self.pick(str(self.rng.integers(64)), 'u0')})",
            f"{self.pick(*UNSIGNED)}({self.word(depth - 1)})",
            f"{self.pick(*UNSIGNED)}({self.real(depth - 1)})",
            f"({one} if {self.flag(depth - 1)} else {other})",
            f"{self.pick('min', 'max')}({one}, {other})",
        )

    def real(self, depth):
        if depth <= 0:
            return self.pick("f0", f"g[{self.rng.integers(4)}]", "0.5", "-3.25", f"float({self.name()})")
        one, other = self.real(depth - 1), self.real(depth - 1)
        return self.pick(
            f"({one} {self.pick('+', '-', '*')} {other})",
            f"({one} * {self.word(depth - 1)})",
            f"np.floor({one})",
            f"(-{one})",
            f"({one} if {self.flag(depth - 1)} else {other})",
            f"{self.pick('min', 'max')}({one}, {other})",
        )

    def flag(self, depth):
        sign = self.pick("<", "<=", ">", ">=", "==", "!=")
        if depth <= 0:
            return f"{self.name()} {sign} {self.literal()}"
        one, other = self.flag(depth - 1), self.flag(depth - 1)
        word = self.word(depth - 1)
        return self.pick(
            f"({word}) {sign} ({self.word(depth - 1)})",
            f"({self.unsigned(depth - 1)}) {sign} ({self.unsigned(depth - 1)})",
            f"({self.real(depth - 1)}) {sign} ({self.real(depth - 1)})",
            f"({self.name()} {sign} ({word}) <= {self.name()})",
            f"({one} {self.pick('and', 'or')} {other})",
            f"({one} {self.pick('&', '|', '^')} {other})"
            if depth < 1
            else f"(({one}) {self.pick('&', '|', '^')} ({other}))",
            f"(not ({word}))",
            f"bool({self.real(depth - 1)})",
        )

    def block(self, depth):
        lines = [line for _ in range(self.rng.integers(1, 4)) for line in self.statement(depth)]
        return [f"    {line}" for line in lines]

    def statement(self, depth):
        kind = self.rng.integers(13 if depth else 8)
        if kind < 2:
            return [f"{self.pick('w0', 'w1', 'w2')} = {self.word(2)}"]
        if kind == 2:
            return [f"{self.pick('w0', 'w1')} {self.pick('+', '-', '*', '^', '//', '%', '>>')}= {self.name()}"]
        if kind == 3:
            return [self.pick(f"u0 = np.uint64({self.unsigned(2)})", f"f0 = {self.real(2)}")]
        if kind == 4:
            return [self.pick("w0, w1 = w1, w0", f"w2, w0 = {self.word(1)}, {self.word(1)}")]
        if kind == 5:
            target = self.pick(
                f"out[{self.at(OUT)}]", f"t[{self.at(3)}, {self.at(4)}]", f"s[{self.at(5)}]", f"y[{self.at(7)}]"
            )
            return [f"{target} {self.pick('=', '+=', '^=')} {self.word(2)}"]
        if kind == 6:
            target = self.pick(f"q[{self.at(4)}] = {self.unsigned(2)}", f"m[{self.at(4)}] = {self.flag(1)}")
            return [self.pick(target, f"g[{self.at(4)}] = {self.real(2)}")]
        if kind == 7:
            return [
                self.pick(
                    f"out[9:{self.rng.integers(9, OUT)}] = {self.word(1)}", f"t[:, {self.at(4)}] = {self.word(1)}"
                )
            ]
        if kind < 11:
            other = ["else:", *self.block(depth - 1)] if self.rng.random() < 0.5 else []
            return [f"if {self.pick(self.flag(2), self.word(1))}:", *self.block(depth - 1), *other]
        return self.loop(depth)

    def loop(self, depth):
        self.loops += 1
        count = f"n{self.loops}"
        name = self.pick(f"i{self.loops}", "w2")
        leave = (
            [f"    if {self.flag(1)}:", f"        {self.pick('break', 'continue')}"] if self.rng.random() < 0.6 else []
        )
        kept, self.scope = self.scope, [*self.scope, name]
        change = [f"    {name} = {self.word(1)}"] if self.rng.random() < 0.3 else []
        body = [*self.block(depth - 1), *leave, *change, *self.block(depth - 1)]
        self.scope = kept
        if self.rng.random() < 0.3:
            return [f"{count}, {name} = 0, w0", f"while {count} < 5:", f"    {count} += 1", *body]
        end = f"({self.word(1)}) % 5"
        ends = self.pick(
            end,
            f"{self.rng.integers(-3, 3)}, {end}",
            f"{end}, -3, {self.rng.integers(-4, 0)}",
            f"-2, {end}, 1 + (x & 3)",
            "0, -1",
        )
        return [f"for {name} in range({ends}):", *body]
