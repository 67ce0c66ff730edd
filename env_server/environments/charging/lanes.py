"""Vectors of ``LANES`` float64 inside compiled code: one lane a copy, in registers.

Numba's own loops over so few copies stay scalar, as its compiler cannot know that arrays do not overlap. Here a vector
is a value of its own type with ``+ - * /``, read and written as a row of an array (rows, LANES). No operation mixes
lanes, and none is contracted or reordered, so a lane's result depends on nothing but the lane, on any machine.

Numba's cache knows a function by the file it stands in: after a change here, touch the files that import from here.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic, models as _models, overload, register_model
from numpy.typing import NDArray

from agora.compiling import cached

Floats = NDArray[np.float64]
Lanes = Any
"""The type of a vector, as far as a type checker may know."""

LANES: Final = 8
_VECTOR: Final = ir.VectorType(ir.DoubleType(), LANES)
_BITS: Final = ir.VectorType(ir.IntType(64), LANES)
F = TypeVar("F", bound=Callable[..., object])


def compiled(function: F) -> F:
    """Compiled by numba, without the interpreter's lock."""
    return cached(nogil=True, error_model="numpy", no_cfunc_wrapper=True)(function)


def inlined(function: F) -> F:
    """As ``compiled``, and always merged into its callers: passing a block's arrays costs more than small functions."""
    return cached(
        nogil=True,
        error_model="numpy",
        forceinline=True,
        no_cpython_wrapper=True,
        no_cfunc_wrapper=True,
    )(function)


def written_out(function: F) -> F:
    """As ``compiled``, but only as part of its callers, each of which would else optimise all that it calls again."""
    return cast(F, njit(nogil=True, error_model="numpy", inline="always")(function))


class _LanesType(types.Type):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__(name=f"lanes{LANES}")


_LANES_TYPE: Final = _LanesType()


@register_model(_LanesType)
class _LanesModel(_models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _VECTOR)


def _row_pointer(context: Any, builder: Any, kind: Any, array: Any, row: Any) -> Any:
    """Address of a row of a C-contiguous array (rows, LANES)."""
    data = context.make_array(kind)(context, builder, array).data
    offset = builder.mul(row, ir.Constant(row.type, LANES))
    return builder.bitcast(builder.gep(data, [offset]), _VECTOR.as_pointer())


@intrinsic
def load(_: Any, array: Any, row: Any) -> Any:
    """A row of an array as a vector."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_row_pointer(context, builder, signature.args[0], *args), align=8)

    return _LANES_TYPE(array, types.intp), generate


@intrinsic
def store(_: Any, array: Any, row: Any, value: Any) -> Any:
    """Write a vector to a row of an array."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _row_pointer(context, builder, signature.args[0], *args[:2]), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, _LANES_TYPE), generate


@intrinsic
def splat(_: Any, value: Any) -> Any:
    """A vector of one number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        first = builder.insert_element(undefined, args[0], ir.Constant(ir.IntType(32), 0))
        mask = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return builder.shuffle_vector(first, undefined, mask)

    return _LANES_TYPE(types.float64), generate


def _binary(emit: Callable[[Any, Any, Any], Any]) -> Any:
    """An intrinsic of two vectors from an instruction."""

    def typed(_: Any, a: Any, b: Any) -> Any:
        return _LANES_TYPE(_LANES_TYPE, _LANES_TYPE), lambda context, builder, signature, args: emit(builder, *args)

    return intrinsic(typed)


_add = _binary(lambda builder, a, b: builder.fadd(a, b))
_subtract = _binary(lambda builder, a, b: builder.fsub(a, b))
_multiply = _binary(lambda builder, a, b: builder.fmul(a, b))
_divide = _binary(lambda builder, a, b: builder.fdiv(a, b))
maximum = _binary(lambda builder, a, b: builder.select(builder.fcmp_ordered(">", a, b), a, b))
minimum = _binary(lambda builder, a, b: builder.select(builder.fcmp_ordered("<", a, b), a, b))
_scale_by_power = _binary(
    lambda builder, mantissa, shifted: builder.bitcast(
        builder.add(
            builder.bitcast(mantissa, _BITS),
            builder.shl(builder.bitcast(shifted, _BITS), ir.Constant(_BITS, [52] * LANES)),
        ),
        _VECTOR,
    )
)


@intrinsic
def square_root(_: Any, a: Any) -> Any:
    """Lane by lane."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        return builder.call(builder.module.declare_intrinsic(f"llvm.sqrt.v{LANES}f64", (), kind), args)

    return _LANES_TYPE(_LANES_TYPE), generate


def _overload(symbol: Any, function: Any) -> None:
    """Let an operator take two vectors, or a vector and a number."""

    def choose(a: Any, b: Any) -> Any:
        if a is _LANES_TYPE and b is _LANES_TYPE:
            return lambda a, b: function(a, b)
        if a is _LANES_TYPE and isinstance(b, types.Float):
            return lambda a, b: function(a, splat(b))
        if b is _LANES_TYPE and isinstance(a, types.Float):
            return lambda a, b: function(splat(a), b)
        return None

    choose.__annotations__.clear()  # numba compares signatures, annotations and all
    overload(symbol)(choose)


_overload(operator.add, _add)
_overload(operator.sub, _subtract)
_overload(operator.mul, _multiply)
_overload(operator.truediv, _divide)

_ROUND: Final = 6755399441055744.0  # 1.5 * 2**52: adding it leaves the nearest integer in the low bits
_LOG2E: Final = 1.4426950408889634
_LN2_HIGH: Final = 0.693147180369123816490
_LN2_LOW: Final = 1.90821492927058770002e-10


@inlined
def exponential(x: Lanes) -> Lanes:
    """The exponential lane by lane for x <= 0, relative error below 1e-15; exp(-708) for anything smaller."""
    x = maximum(x, splat(-708.0))
    shifted = x * _LOG2E + _ROUND
    power = shifted - _ROUND
    r = x - power * _LN2_HIGH - power * _LN2_LOW
    # Taylor's series to the 13th power, |r| <= ln(2)/2.
    y = r * (1.0 / 6227020800.0) + 1.0 / 479001600.0
    y = y * r + 1.0 / 39916800.0
    y = y * r + 1.0 / 3628800.0
    y = y * r + 1.0 / 362880.0
    y = y * r + 1.0 / 40320.0
    y = y * r + 1.0 / 5040.0
    y = y * r + 1.0 / 720.0
    y = y * r + 1.0 / 120.0
    y = y * r + 1.0 / 24.0
    y = y * r + 1.0 / 6.0
    y = y * r + 0.5
    y = y * r + 1.0
    y = y * r + 1.0
    return _scale_by_power(y, shifted)
