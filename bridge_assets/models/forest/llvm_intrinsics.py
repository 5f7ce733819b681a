"""Walks and sums as vector instructions: the only module that uses private interfaces of numba and llvmlite.

numba compiles loops with LLVM, which vectorizes them only if it can prove that no store affects a later load; here it
cannot. So the vector instructions are written in LLVM IR, and LLVM selects those of the processor.

A processor that loads from eight addresses with one instruction (AVX-512, since 2017) can advance 64 walks at once.
Whether that is faster than plain numba (`plain_walk`, which also documents the node format) depends on the processor:
`walks` measures it. Both reach the same leaves.

Belongs here: instructions. Does not belong here: the choice (`walks`), the order of trees and rows
(`kernels`). numba's cache does not notice changes in this file: delete the `__pycache__` of this folder after a change.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.core.registry import cpu_target
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from bridge_assets.models.forest.plain_walk import FEATURE, FEATURE_AT, KEY_AT, LANES, LEFT, STRIP_ROWS

#: Vectors that advance at once: the rows of a block. Measured: with 4, a walk takes a third longer.
_VECTORS = STRIP_ROWS // LANES

_I16, _I32, _I64 = ir.IntType(16), ir.IntType(32), ir.IntType(64)
_FLOAT, _DOUBLE = ir.FloatType(), ir.DoubleType()

#: Whether numba compiles for a processor with AVX-512: the one of this machine, or the one set with NUMBA_CPU_NAME and
#: NUMBA_CPU_FEATURES.
_TARGET: Any = cpu_target.target_context
TARGET = " ".join(_TARGET.codegen().magic_tuple()[1:])
HAS_AVX512 = "+avx512f" in _TARGET.codegen().magic_tuple()[2]


def _vector(of: Any, lanes: int = LANES) -> Any:
    return ir.VectorType(of, lanes)


def _constant_vector(of: Any, value: float, lanes: int = LANES) -> Any:
    return ir.Constant(_vector(of, lanes), [value] * lanes)


def _load(builder: Any, pointer: Any, of: Any, place: Any, lanes: int = LANES) -> Any:
    """Load `lanes` numbers of an array, starting at `place`."""
    loaded = builder.load(_vector_pointer(builder, pointer, of, place, lanes), typ=_vector(of, lanes))
    loaded.align = of.width // 8 if isinstance(of, ir.IntType) else 8
    return loaded


def _store(builder: Any, value: Any, pointer: Any, of: Any, place: Any) -> None:
    builder.store(value, _vector_pointer(builder, pointer, of, place, value.type.count)).align = 8


def _vector_pointer(builder: Any, pointer: Any, of: Any, place: Any, lanes: int) -> Any:
    first = builder.gep(pointer, [place], source_etype=of)
    return builder.bitcast(first, _vector(of, lanes).as_pointer())


def _gather(builder: Any, pointer: Any, of: Any, places: Any) -> Any:
    """Load eight bytes at each of eight places in an array of `of`."""
    addresses = builder.gep(pointer, [places], source_etype=of)
    addresses.type = _vector(ir.PointerType())  # llvmlite has no type for a vector of addresses
    mask = _constant_vector(ir.IntType(1), 1)
    signature = ir.FunctionType(_vector(_I64), [addresses.type, _I32, mask.type, _vector(_I64)])
    gather = cgutils.get_or_insert_function(builder.module, signature, "llvm.masked.gather.v8i64.v8p0")
    align = ir.Constant(_I32, of.width // 8)
    return builder.call(gather, [addresses, align, mask, ir.Constant(_vector(_I64), ir.Undefined)])


def _data_pointers(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """The arguments, with each array replaced by the pointer to its data."""
    return [
        make_array(kind)(context, builder, value).data if isinstance(kind, types.Array) else value
        for kind, value in zip(signature.args, arguments, strict=True)
    ]


@intrinsic
def _gather_walk(_, nodes, places, keys, depth):
    def generate(context, builder, signature, arguments):
        nodes, places, keys, depth = _data_pointers(context, builder, signature, arguments)
        of_vectors = [ir.Constant(_I64, LANES * vector) for vector in range(_VECTORS)]
        of_rows = [ir.Constant(_vector(_I64), [at.constant + lane for lane in range(LANES)]) for at in of_vectors]
        slots = [cgutils.alloca_once_value(builder, _load(builder, places, _I64, at)) for at in of_vectors]
        with cgutils.for_range(builder, depth):
            for slot, row in zip(slots, of_rows, strict=True):
                node = _gather(builder, nodes, _I64, builder.load(slot, typ=_vector(_I64)))
                # The feature times the rows of a block: the mask keeps only the bits of the feature.
                feature = builder.lshr(node, _constant_vector(_I64, FEATURE_AT - STRIP_ROWS.bit_length() + 1))
                feature = builder.and_(feature, _constant_vector(_I64, FEATURE * STRIP_ROWS))
                key = _gather(builder, keys, _I16, builder.add(feature, row))
                key = builder.shl(key, _constant_vector(_I64, KEY_AT))
                # The threshold is in the highest bits of the node; the lower bits cannot make a smaller key larger.
                left = builder.and_(node, _constant_vector(_I64, LEFT))
                right = builder.add(left, _constant_vector(_I64, 1))
                builder.store(builder.select(builder.icmp_signed(">", key, node), right, left), slot)
        for slot, at in zip(slots, of_vectors, strict=True):
            _store(builder, builder.load(slot, typ=_vector(_I64)), places, _I64, at)
        return context.get_dummy_value()

    return types.void(nodes, places, keys, types.intp), generate


_walk: Any = _gather_walk


@njit(forceinline=True)
def walk_rows(nodes, places, keys, depth, count):
    """Advance all rows of a block by `depth` steps down a tree: see `plain_walk.walk_rows`."""
    _walk(nodes, places, keys, depth)


def _float16_to_float64(builder: Any, halves: Any) -> Any:
    """Convert the bits of float16 to float64."""
    lanes = halves.type.count
    if HAS_AVX512:
        return builder.fpext(builder.bitcast(halves, _vector(ir.HalfType(), lanes)), _vector(_DOUBLE, lanes))
    # Without hardware support, LLVM would call a function that numba lacks, so the conversion is done here: float32 has
    # exponent and fraction 13 bits further left, and its exponent is biased by 112 more. The conversion is exact.
    bits = builder.sext(halves, _vector(_I32, lanes))
    sign = builder.and_(bits, _constant_vector(_I32, -(2**31), lanes))
    rest = builder.shl(builder.and_(bits, _constant_vector(_I32, 0x7FFF, lanes)), _constant_vector(_I32, 13, lanes))
    single = builder.bitcast(builder.or_(sign, rest), _vector(_FLOAT, lanes))
    return builder.fpext(builder.fmul(single, _constant_vector(_FLOAT, 2.0**112, lanes)), _vector(_DOUBLE, lanes))


def _build_add(lanes: int) -> Any:
    @intrinsic
    def add(_, values, value, sums, total):
        def generate(context, builder, signature, arguments):
            values, value, sums, total = _data_pointers(context, builder, signature, arguments)
            added = _float16_to_float64(builder, _load(builder, values, _I16, value, lanes))
            previous = _load(builder, sums, _DOUBLE, total, lanes)
            _store(builder, builder.fadd(previous, added), sums, _DOUBLE, total)
            return context.get_dummy_value()

        return types.void(values, value, sums, total), generate

    return add


#: Add two, or eight, float16 values (as bits, uint16), starting at one place, to float64 sums, starting at another.
add_two, add_eight = _build_add(2), _build_add(LANES)
