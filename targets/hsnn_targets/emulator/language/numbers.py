"""Arithmetic of the language: casts, operators, comparisons."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence

from llvmlite import ir  # type: ignore[import-untyped]

from hsnn_targets.emulator.language.types import FLAG_TYPE, FLOAT, UNSIGNED, WORD, Code, Number, Type, Typed, known
from hsnn_targets.emulator.lowering import LONG, Builder, declare

COMPARISONS: Mapping[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
FOLDS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: int.__add__,
    ast.Sub: int.__sub__,
    ast.Mult: int.__mul__,
    ast.FloorDiv: int.__floordiv__,
    ast.LShift: int.__lshift__,
    ast.RShift: int.__rshift__,
    ast.BitAnd: int.__and__,
    ast.BitOr: int.__or__,
}
BITS = (ast.BitAnd, ast.BitOr, ast.BitXor)


def join(one: Type, other: Type) -> Type:
    """The type that holds values of both: numbers become wider, everything else has to be equal."""
    if one == other:
        return one
    if not (isinstance(one, Number) and isinstance(other, Number)):
        raise TypeError(f"a value is {one} here and {other} there")
    if "f" in (one.letter, other.letter):
        return FLOAT
    if one.letter == other.letter:
        return one if one.bits > other.bits else other
    flag, number = (one, other) if one.letter == "b" else (other, one)
    if flag.letter == "b":
        return number
    signed, unsigned = (one, other) if one.letter == "i" else (other, one)
    if unsigned.bits >= 64:
        raise TypeError(f"{signed} and {unsigned} have nothing in common")
    return Number("i", max(signed.bits, 2 * unsigned.bits))


def cast(builder: Builder, value: Typed, to: Type) -> Typed:
    """Turn a number into one of another type.

    Of integers the bits that do not fit are cut off. Floats are cut toward zero and stop at the ends of the type; what
    is no number becomes 0.
    """
    start = value.type
    if start == to:
        return value
    if not (isinstance(start, Number) and isinstance(to, Number)):
        raise TypeError(f"{start} does not become {to}")
    return Typed(to, (_cast(builder, value, start, to),))


def _cast(builder: Builder, value: Typed, start: Number, to: Number) -> Code:
    code, kind, number = value.code, to.code[0], known(value)
    if start.letter == "f":
        if to.letter == "b":
            return builder.fcmp_unordered("!=", code, ir.Constant(start.code[0], 0.0))
        sign = "u" if to.letter == "u" else "s"  # plain fptosi has no meaning out of range
        whole = declare(builder, f"llvm.fpto{sign}i.sat.i{to.bits}.f64", kind, start.code)
        return builder.call(whole, [code])
    if to.letter == "f":
        if number is not None:
            return ir.Constant(kind, float(number))
        return builder.sitofp(code, kind) if start.letter == "i" else builder.uitofp(code, kind)
    if to.letter == "b":
        return kind(int(number != 0)) if number is not None else builder.icmp_unsigned("!=", code, code.type(0))
    if number is not None:
        return kind(_wrap(number, to))
    if to.bits == start.bits:
        return code
    if to.bits < start.bits:
        return builder.trunc(code, kind)
    return builder.sext(code, kind) if start.letter == "i" else builder.zext(code, kind)


def _wrap(number: int, to: Number) -> int:
    number &= (1 << to.bits) - 1
    return number - (1 << to.bits) if to.letter == "i" and number >> (to.bits - 1) else number


def operate(builder: Builder, operator: ast.operator, left: Typed, right: Typed) -> Typed:
    """Apply an operator with two operands."""
    if left.type == right.type == FLAG_TYPE and isinstance(operator, BITS):
        return Typed(FLAG_TYPE, (_bits(builder, operator, left.code, right.code),))
    if isinstance(operator, (ast.LShift, ast.RShift)):
        common: Number = UNSIGNED if _is_unsigned(left) else WORD
        if FLOAT in (left.type, right.type):
            raise TypeError("kernels know no shifts of floats")
    else:
        common = _common(left, right)
    if common.letter != "f":
        _require_meaning(operator, known(right))
    folded = _fold(operator, left, right, common)
    if folded is not None:
        return folded
    one, other = cast(builder, left, common).code, cast(builder, right, common).code
    return Typed(common, (_operate(builder, operator, one, other, common),))


def _operate(builder: Builder, operator: ast.operator, one: Code, other: Code, common: Number) -> Code:
    floating = common.letter == "f"
    match operator:
        case ast.Add():
            return builder.fadd(one, other) if floating else builder.add(one, other)
        case ast.Sub():
            return builder.fsub(one, other) if floating else builder.sub(one, other)
        case ast.Mult():
            return builder.fmul(one, other) if floating else builder.mul(one, other)
    if floating:
        raise TypeError(f"kernels know no {type(operator).__name__} of floats")
    match operator:
        case ast.FloorDiv() | ast.Mod():
            return _divide(builder, operator, one, other, common)
        case ast.LShift():
            return builder.shl(one, _places(builder, other))
        case ast.RShift():
            shift = builder.ashr if common.letter == "i" else builder.lshr
            return shift(one, _places(builder, other))
        case ast.BitAnd() | ast.BitOr() | ast.BitXor():
            return _bits(builder, operator, one, other)
    raise TypeError(f"kernels know no {type(operator).__name__}")


def _bits(builder: Builder, operator: ast.operator, one: Code, other: Code) -> Code:
    if isinstance(operator, ast.BitAnd):
        return builder.and_(one, other)
    return builder.or_(one, other) if isinstance(operator, ast.BitOr) else builder.xor(one, other)


def _require_meaning(operator: ast.operator, right: int | None) -> None:
    """Refuse what is known to have no meaning."""
    if right == 0 and isinstance(operator, (ast.FloorDiv, ast.Mod)):
        raise TypeError("a division by zero")
    if right is not None and not 0 <= right < WORD.bits and isinstance(operator, (ast.LShift, ast.RShift)):
        raise TypeError(f"a shift by {right} of {WORD.bits} bits")


def _places(builder: Builder, count: Code) -> Code:
    """How far a shift goes: LLVM's have no meaning beyond the width, so the lowest six bits count."""
    return count if isinstance(count, ir.Constant) else builder.and_(count, LONG(WORD.bits - 1))


def _divide(builder: Builder, operator: ast.operator, one: Code, other: Code, common: Number) -> Code:
    """Divide toward minus infinity.

    Processors stop at a division by zero, so one divides by 1 instead; and at the lowest integer divided by -1, so
    what is divided by -1 is divided by 1 and changes its sign.
    """
    zero, unit, quotient = other.type(0), other.type(1), isinstance(operator, ast.FloorDiv)
    constant = isinstance(other, ir.Constant)
    if common.letter == "u":
        if not constant:
            other = builder.select(builder.icmp_unsigned("==", other, zero), unit, other)
        return builder.udiv(one, other) if quotient else builder.urem(one, other)
    if constant and other.constant == -1:
        return builder.sub(zero, one) if quotient else zero
    turned = None
    if not constant:
        turned = builder.icmp_signed("==", other, other.type(-1))
        harmful = builder.icmp_unsigned("<=", builder.add(other, unit), unit)  # -1 and 0
        other = builder.select(harmful, unit, other)
    rest = builder.srem(one, other)
    below = builder.and_(
        builder.icmp_signed("!=", rest, zero), builder.icmp_signed("<", builder.xor(rest, other), zero)
    )
    if not quotient:
        return builder.add(rest, builder.select(below, other, zero))
    found = builder.sub(builder.sdiv(one, other), builder.zext(below, one.type))
    return found if turned is None else builder.select(turned, builder.sub(zero, found), found)


def _fold(operator: ast.operator, left: Typed, right: Typed, common: Number) -> Typed | None:
    one, other, fold = known(left), known(right), FOLDS.get(type(operator))
    if one is None or other is None or fold is None or common.letter == "f":
        return None
    return Typed(common, (LONG(_wrap(fold(one, other), common)),))


def _common(left: Typed, right: Typed) -> Number:
    """Type in which two numbers meet: 64 bits, without a sign if both have none."""
    types = (left.type, right.type)
    if FLOAT in types:
        return FLOAT
    if _is_unsigned(left) and _is_unsigned(right):
        return UNSIGNED
    if UNSIGNED in types:
        other = known(right if types[0] == UNSIGNED else left)
        if other is None or other < 0:
            raise TypeError("a word without a sign and a number with one have nothing in common")
        return UNSIGNED
    for found in types:
        if not isinstance(found, Number):
            raise TypeError(f"kernels do not calculate with {found}")
    return WORD


def _is_unsigned(value: Typed) -> bool:
    return isinstance(value.type, Number) and value.type.letter == "u"


def compare(builder: Builder, operator: ast.cmpop, left: Typed, right: Typed) -> Typed:
    """Compare two numbers."""
    symbol = COMPARISONS.get(type(operator))
    if symbol is None:
        raise TypeError(f"kernels know no {type(operator).__name__}")
    equal = left.type == right.type and isinstance(left.type, Number)
    common = left.type if equal and left.type != FLAG_TYPE else _common(left, right)
    one, other = cast(builder, left, common).code, cast(builder, right, common).code
    return Typed(FLAG_TYPE, (_compare(builder, symbol, one, other, common),))


def _compare(builder: Builder, symbol: str, one: Code, other: Code, common: Type) -> Code:
    letter = common.letter if isinstance(common, Number) else ""
    if letter == "f":
        return (
            builder.fcmp_unordered(symbol, one, other) if symbol == "!=" else builder.fcmp_ordered(symbol, one, other)
        )
    return (builder.icmp_signed if letter == "i" else builder.icmp_unsigned)(symbol, one, other)


def negate(builder: Builder, operator: ast.unaryop, value: Typed) -> Typed:
    """Apply an operator with one operand."""
    if isinstance(operator, ast.Not):
        flag, number = cast(builder, value, FLAG_TYPE), known(value)
        if number is not None:
            return Typed(FLAG_TYPE, (ir.IntType(1)(int(number == 0)),))
        return Typed(FLAG_TYPE, (builder.not_(flag.code),))
    if isinstance(operator, ast.USub) and value.type == FLOAT:
        return Typed(FLOAT, (builder.fneg(value.code),))
    if isinstance(operator, ast.USub):
        return operate(builder, ast.Sub(), Typed(WORD, (LONG(0),)), value)
    if isinstance(operator, ast.Invert):
        return operate(builder, ast.BitXor(), value, Typed(WORD, (LONG(-1),)))
    raise TypeError(f"kernels know no {type(operator).__name__}")


def extreme(builder: Builder, symbol: str, values: Sequence[Typed]) -> Typed:
    """The largest (``>``) or smallest (``<``) of some numbers."""
    best, *others = values
    for other in others:
        common = join(best.type, other.type)
        one, two = cast(builder, best, common).code, cast(builder, other, common).code
        best = Typed(common, (builder.select(_compare(builder, symbol, two, one, common), two, one),))
    return best


def magnitude(builder: Builder, value: Typed) -> Typed:
    """Absolute value of an integer; the lowest one stays as it is."""
    if not (isinstance(value.type, Number) and value.type.letter == "i"):
        raise TypeError(f"kernels take no absolute value of {value.type}")
    less = builder.icmp_signed("<", value.code, value.code.type(0))
    return Typed(value.type, (builder.select(less, builder.neg(value.code), value.code),))
