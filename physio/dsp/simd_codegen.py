"""SIMD kernels of recursive filters, eight channels at a time.

A compiler vectorizes loops over channels automatically, but then keeps the state of a
filter in memory and moves it at every sample. These loops over samples are therefore
written in LLVM's intermediate representation, for a machine of any vector width: they
work on vectors of eight numbers, in one register or in several.

A fused multiplication and addition rounds once on every machine.
"""

from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

LANES: Final = 8
"""Number of channels that are filtered together."""

_REAL: Final = ir.DoubleType()
_VECTOR: Final = ir.VectorType(_REAL, LANES)
_INT: Final = ir.IntType(64)


class KernelBuilder:
    """Builder of instructions on vectors of eight numbers."""

    def __init__(self, builder: Any) -> None:
        self.at = builder

    def pointer(self, base: Any, offset: Any) -> Any:
        """Return the address of the vector at ``base`` and ``offset`` numbers."""
        place = self.at.gep(base, [offset])
        return self.at.bitcast(place, _VECTOR.as_pointer())

    def load(self, base: Any, offset: Any) -> Any:
        """Read a vector."""
        return self.at.load(self.pointer(base, offset), align=8)

    def store(self, value: Any, base: Any, offset: Any) -> None:
        """Write a vector."""
        self.at.store(value, self.pointer(base, offset), align=8)

    def register(self, value: Any) -> Any:
        """Return a variable that holds ``value``; it becomes a register."""
        return cgutils.alloca_once_value(self.at, value)

    def fused_multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """Return ``a * b + c``, rounded once."""
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        name = f"llvm.fma.v{LANES}f64"
        fma = cgutils.get_or_insert_function(self.at.module, kind, name)
        return self.at.call(fma, (a, b, c))

    def broadcast(self, value: Any) -> Any:
        """Return a vector of one number."""
        empty = ir.Constant(_VECTOR, ir.Undefined)
        vector = self.at.insert_element(empty, value, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.at.shuffle_vector(vector, empty, zeros)


def data(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    """Return the address of an array's numbers."""
    return context.make_array(kind)(context, builder, value).data


def number(value: int) -> Any:
    """Return an integer constant."""
    return ir.Constant(_INT, value)


@intrinsic
def resonate(
    _: Any,
    order: Any,
    poles: Any,
    memory: Any,
    sums: Any,
    x: Any,
    weights: Any,
    steps: Any,
) -> Any:
    """Filter samples, eight lanes at a time; add up the output and its squares.

    Each section is ``(1 - z**-2) / (1 + a1 z**-1 + a2 z**-2)``, in the transposed
    direct form II, with fused operations.

    Parameters
    ----------
    order
        A tuple whose length is the number of sections.
    poles
        ``-a1`` and ``-a2`` of each section for eight lanes, shape (blocks, s, 2, 8).
    memory
        State of each section, shape (blocks, s, 2, 8); changed.
    sums
        Array of shape (3, lanes): the second row is the sum and the third the sum of
        squares; changed.
    x, weights
        Samples, and weights (1 where the output counts, else 0), as flat arrays.
    steps
        Number of lanes after which ``x`` repeats; distance between samples in ``x`` and
        in ``weights``; number of samples.
    """
    four = types.UniTuple(types.int64, 4)
    del steps
    sig = types.void(order, poles, memory, sums, x, weights, four)
    places = [[(2 * s + k) * LANES for k in range(2)] for s in range(len(order))]

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w = KernelBuilder(builder)
        bases = [
            data(context, builder, signature.args[i], args[i]) for i in range(1, 6)
        ]
        wrap, hop, skip, n = (builder.extract_value(args[6], i) for i in range(4))
        array = context.make_array(signature.args[1])(context, builder, args[1])
        blocks = builder.extract_value(array.shape, 0)
        lanes = builder.mul(blocks, number(LANES))
        with cgutils.for_range(builder, blocks) as block:
            lane = builder.mul(block.index, number(LANES))
            apart = builder.mul(block.index, number(2 * len(order) * LANES))
            offsets = apart, apart, lane, builder.srem(lane, wrap), lane
            base = [builder.gep(b, [o]) for b, o in zip(bases, offsets, strict=True)]
            ends = [lanes, builder.add(lanes, lanes)]
            pole = [[w.load(base[0], number(at)) for at in pair] for pair in places]
            z = [[w.register(w.load(base[1], number(at))) for at in p] for p in places]
            added = [w.register(w.load(base[2], end)) for end in ends]
            with cgutils.for_range(builder, n) as loop:
                v = w.load(base[3], builder.mul(loop.index, hop))
                weight = w.load(base[4], builder.mul(loop.index, skip))
                for (a1, a2), (z0, z1) in zip(pole, z, strict=True):
                    back = builder.fneg(v)
                    v = builder.fadd(v, builder.load(z0))
                    builder.store(w.fused_multiply_add(a1, v, builder.load(z1)), z0)
                    builder.store(w.fused_multiply_add(a2, v, back), z1)
                part = builder.fmul(weight, v)
                builder.store(builder.fadd(builder.load(added[0]), part), added[0])
                builder.store(
                    w.fused_multiply_add(part, v, builder.load(added[1])), added[1]
                )
            for pair, registers in zip(places, z, strict=True):
                for at, value in zip(pair, registers, strict=True):
                    w.store(builder.load(value), base[1], number(at))
            for end, total in zip(ends, added, strict=True):
                w.store(builder.load(total), base[2], end)
        return context.get_dummy_value()

    return sig, write


@intrinsic
def variance(
    _: Any, order: Any, ba: Any, x: Any, steps: Any, room: Any, out: Any
) -> Any:
    """Filter samples of eight channels from rest; write the variance of the output.

    The transposed direct form II, in the order and the roundings of
    `scipy.signal.lfilter` on machines without fused operations; then the mean, and the
    mean square of the distances from it, each summed in the order of time.

    Parameters
    ----------
    order
        A tuple whose length is the order of the filter.
    ba
        Numerator and denominator, shape (2, order + 1); ``a[0]`` is 1 and every other
        member of ``b``, from the second on, is 0, as in a Butterworth band-pass filter.
    x
        The first sample of the eight.
    steps
        Distance from sample to sample in ``x``, and number of samples.
    room
        Scratch memory, 8 numbers for each sample.
    out
        Output: the eight variances.
    """
    del steps
    pair = types.UniTuple(types.int64, 2)
    sig = types.void(order, ba, x, pair, room, out)
    poles = len(order)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w = KernelBuilder(builder)
        ba, x, room, out = (
            data(context, builder, signature.args[i], args[i]) for i in (1, 2, 4, 5)
        )
        hop, n = (builder.extract_value(args[3], i) for i in range(2))
        taps = [
            w.broadcast(builder.load(builder.gep(ba, [number(k)])))
            for k in range(2 * poles + 2)
        ]
        b, a = taps[: poles + 1], taps[poles + 1 :]
        nothing = ir.Constant(_VECTOR, [0.0] * LANES)
        z = [w.register(nothing) for _ in range(poles)]
        mean, square = w.register(nothing), w.register(nothing)
        with cgutils.for_range(builder, n) as loop:
            v = w.load(x, builder.mul(loop.index, hop))
            y = builder.fadd(builder.fmul(b[0], v), builder.load(z[0]))
            for k in range(poles):
                later = builder.load(z[k + 1]) if k + 1 < poles else nothing
                come = (
                    later
                    if k % 2 == 0
                    else builder.fadd(later, builder.fmul(v, b[k + 1]))
                )
                builder.store(builder.fsub(come, builder.fmul(y, a[k + 1])), z[k])
            builder.store(builder.fadd(builder.load(mean), y), mean)
            w.store(y, room, builder.mul(loop.index, number(LANES)))
        count = w.broadcast(builder.sitofp(n, _REAL))
        middle = builder.fdiv(builder.load(mean), count)
        with cgutils.for_range(builder, n) as loop:
            y = w.load(room, builder.mul(loop.index, number(LANES)))
            off = builder.fsub(y, middle)
            added = builder.fadd(builder.load(square), builder.fmul(off, off))
            builder.store(added, square)
        w.store(builder.fdiv(builder.load(square), count), out, number(0))
        return context.get_dummy_value()

    return sig, write


@intrinsic
def strided_sums(_: Any, x: Any, n: Any, out: Any) -> Any:
    """Write eight sums, each of every eighth number from one of the first eight on.

    Parameters
    ----------
    x
        The numbers, flat; ``n`` of them, a multiple of 8.
    out
        Output: the eight sums.
    """
    del n
    sig = types.void(x, types.int64, out)

    def write(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        w = KernelBuilder(builder)
        x, out = (data(context, builder, signature.args[i], args[i]) for i in (0, 2))
        total = w.register(ir.Constant(_VECTOR, [0.0] * LANES))
        with cgutils.for_range(builder, builder.sdiv(args[1], number(LANES))) as loop:
            v = w.load(x, builder.mul(loop.index, number(LANES)))
            builder.store(builder.fadd(builder.load(total), v), total)
        w.store(builder.load(total), out, number(0))
        return context.get_dummy_value()

    return sig, write
