"""Eight float32 numbers that a processor treats as one, as a type for numba kernels.

Whether a compiler turns a loop into such instructions depends on what it can prove about the arrays in it, which is
mostly too little. With a type for them there is nothing to prove.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

LANES = 8
ROW = ir.VectorType(ir.FloatType(), LANES)
BITS = ir.VectorType(ir.IntType(32), LANES)
HALVES = ir.VectorType(ir.IntType(16), LANES)
PAIR = ir.VectorType(ir.FloatType(), 2)
OPERATIONS = {
    "fadd": (operator.add, operator.iadd),
    "fsub": (operator.sub, operator.isub),
    "fmul": (operator.mul, operator.imul),
    "fdiv": (operator.truediv, operator.itruediv),
}


class LanesType(types.Type):
    """Type of `LANES` numbers; + - * / and unary minus work lane by lane, also with one number for all lanes."""

    def __init__(self) -> None:
        super().__init__(name=f"float32x{LANES}")


lanes = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, frontend_type) -> None:
        super().__init__(manager, frontend_type, ROW)


def _spread(builder, value):
    """One number in all lanes; lanes as they are."""
    if value.type == ROW:
        return value
    nothing, firsts = ir.Constant(ROW, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
    return builder.shuffle_vector(builder.insert_element(nothing, value, ir.IntType(32)(0)), nothing, firsts)


def _define(function, name: str) -> None:
    @type_callable(function)
    def type_operation(context):
        def typer(a, b):
            return lanes if lanes in (a, b) and {a, b} <= {lanes, types.float32} else None

        return typer

    def generate(context, builder, signature, arguments):
        a, b = (_spread(builder, value) for value in arguments)
        return getattr(builder, name)(a, b)

    for pair in ((lanes, lanes), (lanes, types.float32), (types.float32, lanes)):
        lower_builtin(function, *pair)(generate)


for _name, _functions in OPERATIONS.items():
    for _function in _functions:
        _define(_function, _name)


@type_callable(operator.neg)
def _type_negation(context):
    def typer(a):
        return lanes if a == lanes else None

    return typer


@lower_builtin(operator.neg, lanes)
def _negate(context, builder, signature, arguments):
    return builder.fneg(arguments[0])


@intrinsic
def fill(typing_context, number):
    """A float32 number in all lanes."""

    def generate(context, builder, signature, arguments):
        return _spread(builder, arguments[0])

    return lanes(number), generate


@intrinsic
def load(typing_context, rows, index):
    """rows[index] of an (R, `LANES`) array; an index out of range is not noticed."""

    def generate(context, builder, signature, arguments):
        return builder.load(_address(context, builder, signature, arguments), align=4)

    return lanes(rows, index), generate


@intrinsic
def store(typing_context, rows, index, value):
    """rows[index] = value of an (R, `LANES`) array; an index out of range is not noticed."""

    def generate(context, builder, signature, arguments):
        builder.store(arguments[2], _address(context, builder, signature, arguments), align=4)
        return context.get_dummy_value()

    return types.void(rows, index, value), generate


@intrinsic
def store_rounded(typing_context, rows, index, value):
    """`store` in bfloat16, into an array of its bits (uint16); to the nearest, ties to even."""

    def generate(context, builder, signature, arguments):
        def each(number):
            return ir.Constant(BITS, [number] * LANES)

        bits = builder.bitcast(arguments[2], BITS)
        odd = builder.and_(builder.lshr(bits, each(16)), each(1))
        rounded = builder.lshr(builder.add(bits, builder.add(odd, each(0x7FFF))), each(16))
        address = _address(context, builder, signature, arguments, HALVES)
        builder.store(builder.trunc(rounded, HALVES), address, align=2)
        return context.get_dummy_value()

    return types.void(rows, index, value), generate


def _address(context, builder, signature, arguments, row=ROW):
    array_type, index_type = signature.args[:2]
    array = context.make_array(array_type)(context, builder, arguments[0])
    index = context.cast(builder, arguments[1], index_type, types.intp)
    number = builder.mul(index, ir.IntType(64)(LANES))
    return builder.bitcast(builder.gep(array.data, [number]), row.as_pointer())


@intrinsic
def load_pairs(typing_context, images, offset, rows, columns, width):
    """Two neighbouring numbers of each of several images, as two values: those in a column, and in the next one.

    Args:
        images: (B, P) contiguous float32, B > 0; lanes beyond the last image repeat it.
        offset: where the rows that are meant begin in each image.
        rows, columns: whole numbers (as float32) of each lane, a place in an array of ``width`` columns that starts
            at ``offset``; places out of range are not noticed.
        width: of a row.
    """

    def generate(context, builder, signature, arguments):
        wide, array_type = ir.IntType(64), signature.args[0]
        array = context.make_array(array_type)(context, builder, arguments[0])
        count, size = cgutils.unpack_tuple(builder, array.shape, 2)
        offset, width = (context.cast(builder, arguments[i], signature.args[i], types.int64) for i in (1, 4))
        rows, columns = (builder.fptosi(arguments[i], BITS) for i in (2, 3))
        last = builder.sub(count, wide(1))
        pairs = []
        for lane in range(LANES):
            number = builder.select(builder.icmp_signed("<", wide(lane), count), wide(lane), last)
            row, column = (
                builder.sext(builder.extract_element(value, ir.IntType(32)(lane)), wide) for value in (rows, columns)
            )
            within = builder.add(builder.mul(row, width), column)
            at = builder.add(builder.mul(number, size), builder.add(offset, within))
            address = builder.bitcast(builder.gep(array.data, [at]), PAIR.as_pointer())
            pairs.append(builder.load(address, align=4))
        left, right = (_every_other(builder, pairs, first) for first in (0, 1))
        return context.make_tuple(builder, signature.return_type, (left, right))

    if images.dtype != types.float32 or images.layout != "C":
        return None  # which numba reports as arguments of the wrong type
    pair = types.UniTuple(lanes, 2)
    return pair(images, offset, rows, columns, width), generate


def _every_other(builder, pairs, first):
    """The first or the second numbers of `LANES` pairs."""
    value = ir.Constant(ROW, ir.Undefined)
    for lane, pair in enumerate(pairs):
        number = builder.extract_element(pair, ir.IntType(32)(first))
        value = builder.insert_element(value, number, ir.IntType(32)(lane))
    return value


@intrinsic
def clip(typing_context, value, least, most):
    """Each number, held between two bounds; NaN becomes the lower one."""

    def generate(context, builder, signature, arguments):
        value, least, most = (_spread(builder, argument) for argument in arguments)
        value = builder.select(builder.fcmp_ordered(">", value, least), value, least)
        return builder.select(builder.fcmp_ordered("<", value, most), value, most)

    return lanes(value, least, most), generate


@intrinsic
def whole(typing_context, value):
    """Each number without its fraction; numbers must lie within int32."""

    def generate(context, builder, signature, arguments):
        return builder.sitofp(builder.fptosi(arguments[0], BITS), ROW)

    return lanes(value), generate


@intrinsic
def prefetch(typing_context, array, index):
    """Begin to bring an element of an array into the cache, for a loop that will read it a few microseconds later.

    Processors do so themselves for what is read in order, but only within a page of 4 kB; without this, a loop waits
    for the first lines of every page. An index out of range does nothing.
    """

    def generate(context, builder, signature, arguments):
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        index = context.cast(builder, arguments[1], signature.args[1], types.intp)
        bytes_, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [bytes_, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        # To be read, into all caches, as data.
        address = builder.bitcast(builder.gep(array.data, [index]), bytes_)
        builder.call(function, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, index), generate


@intrinsic
def root(typing_context, value):
    """Square roots."""

    def generate(context, builder, signature, arguments):
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ROW, [ROW]), f"llvm.sqrt.v{LANES}f32")
        return builder.call(function, arguments)

    return lanes(value), generate


@intrinsic
def at_least(typing_context, value, bound):
    """The larger of each number and `bound`; NaN stays."""

    def generate(context, builder, signature, arguments):
        value, bound = (_spread(builder, argument) for argument in arguments)
        return builder.select(builder.fcmp_ordered("<", value, bound), bound, value)

    return lanes(value, bound), generate


@intrinsic
def above(typing_context, value, bound):
    """1 where a number is above `bound`, else, and for NaN, 0."""

    def generate(context, builder, signature, arguments):
        value, bound = (_spread(builder, argument) for argument in arguments)
        one, zero = (ir.Constant(ROW, [number] * LANES) for number in (1.0, 0.0))
        return builder.select(builder.fcmp_ordered(">", value, bound), one, zero)

    return lanes(value, bound), generate
