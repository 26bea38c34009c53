"""Core ATen operators as JAX functions. Products ask for full precision: a GPU's default would be tf32."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from bakeoff.backends import Unsupported

EXACT = lax.Precision.HIGHEST


def _cast(value: Any, dtype: str) -> Any:
    if isinstance(value, tuple):
        return value
    return jnp.asarray(value, dtype)


def _embedding(table: Any, ids: Any, *_: Any) -> Any:
    """Rows of the table. torch's ids are never negative and inside it, so that nothing has to be checked."""
    return table.at[ids].get(mode="promise_in_bounds", wrap_negative_indices=False)


def _index(x: Any, places: tuple[Any, ...]) -> Any:
    return x[tuple(slice(None) if place is None else place for place in places)]


def _slice(x: Any, axis: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Any:
    end = None if isinstance(end, int) and end >= 2**31 else end
    return x[(slice(None),) * (axis % x.ndim) + (slice(start, end, step),)]


def _select(x: Any, axis: int, place: int) -> Any:
    return x[(slice(None),) * (axis % x.ndim) + (place,)]


def _expand(x: Any, sizes: tuple[Any, ...], implicit: bool = False) -> Any:
    own = (1,) * (len(sizes) - x.ndim) + x.shape
    shape = [mine if isinstance(size, int) and size == -1 else size for size, mine in zip(sizes, own, strict=True)]
    return jnp.broadcast_to(x, shape)


def _sum(x: Any, axes: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    return jnp.sum(x, axes or None, dtype=dtype, keepdims=keepdim)


def _mean(x: Any, axes: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    return jnp.mean(x, axes or None, dtype=dtype, keepdims=keepdim)


def _norm(x: Any, order: float = 2, axes: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    if order == 2:
        return jnp.sqrt(jnp.sum(x * x, axes, keepdims=keepdim))
    return jnp.sum(jnp.abs(x) ** order, axes, keepdims=keepdim) ** (1 / order)


def _div(x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode == "floor":
        return jnp.floor_divide(x, y)
    if rounding_mode == "trunc":
        return lax.div(*jnp.broadcast_arrays(x, y)) if x.dtype.kind in "iu" else jnp.trunc(x / y)
    return x / y


def _clamp(x: Any, least: Any = None, most: Any = None) -> Any:
    x = x if least is None else jnp.maximum(x, jnp.asarray(least, x.dtype))
    return x if most is None else jnp.minimum(x, jnp.asarray(most, x.dtype))


def _matmul(x: Any, y: Any) -> Any:
    return jnp.matmul(x, y, precision=EXACT)


def _addmm(bias: Any, x: Any, y: Any, beta: float = 1, alpha: float = 1) -> Any:
    product = _matmul(x, y) if alpha == 1 else alpha * _matmul(x, y)
    return product + (bias if beta == 1 else beta * bias)


def _layer_norm(x: Any, shape: tuple[int, ...], weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    axes = tuple(range(x.ndim - len(shape), x.ndim))
    mean = jnp.mean(x, axes, keepdims=True)
    scale = lax.rsqrt(jnp.mean(jnp.square(x - mean), axes, keepdims=True) + eps)
    y = (x - mean) * scale
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias), mean, scale


def _batch_norm(x: Any, weight: Any, bias: Any, mean: Any, var: Any, _: float, eps: float) -> tuple[Any, Any, Any]:
    scale = lax.rsqrt(var + eps) * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean * scale
    per_channel = (-1,) + (1,) * (x.ndim - 2)
    return x * scale.reshape(per_channel) + shift.reshape(per_channel), mean[:0], var[:0]


def _convolution(
    x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, _: Any, groups: int
) -> Any:
    if transposed:
        raise Unsupported("a transposed convolution")
    around = [(size, size) for size in padding]
    y = lax.conv_general_dilated(
        x, weight, stride, around, rhs_dilation=dilation, feature_group_count=groups, precision=EXACT
    )
    return y if bias is None else y + bias.reshape((-1,) + (1,) * (x.ndim - 2))


def _max_pool(x: Any, kernel: Any, stride: Any = (), padding: Any = (0, 0), dilation: Any = (1, 1)) -> tuple[Any, None]:
    around = [(0, 0), (0, 0), *((size, size) for size in padding)]
    window, strides = (1, 1, *kernel), (1, 1, *(stride or kernel))
    return lax.reduce_window(x, -jnp.inf, lax.max, window, strides, around, window_dilation=(1, 1, *dilation)), None


def _arange(start: Any, end: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    return jnp.arange(start, dtype=dtype) if end is None else jnp.arange(start, end, step, dtype=dtype)


def _squeeze(x: Any, axes: Any = None) -> Any:
    wanted = range(x.ndim) if axes is None else [axis % x.ndim for axis in ((axes,) if isinstance(axes, int) else axes)]
    return jnp.squeeze(x, tuple(axis for axis in wanted if isinstance(x.shape[axis], int) and x.shape[axis] == 1))


def _split(x: Any, sizes: Any, axis: int = 0) -> list[Any]:
    places, at = [], 0
    for size in sizes[:-1]:
        places.append(at := at + size)
    return list(jnp.split(x, places, axis))


def _any(x: Any, axes: Any = None, keepdim: bool = False) -> Any:
    return jnp.any(x, axes, keepdims=keepdim)


def _same(x: Any, *_: Any, **__: Any) -> Any:
    return x


TABLE: dict[str, Any] = {
    "cast": _cast,
    **dict.fromkeys(("clone", "alias", "_to_copy"), _same),
    "add": lambda x, y, alpha=1: x + (y if alpha == 1 else alpha * y),
    "sub": lambda x, y, alpha=1: x - (y if alpha == 1 else alpha * y),
    "mul": lambda x, y: x * y,
    "div": _div,
    "pow": jnp.power,
    "remainder": jnp.remainder,
    "fmod": jnp.fmod,
    "maximum": jnp.maximum,
    "minimum": jnp.minimum,
    "eq": jnp.equal,
    "ne": jnp.not_equal,
    "lt": jnp.less,
    "le": jnp.less_equal,
    "gt": jnp.greater,
    "ge": jnp.greater_equal,
    "where": jnp.where,
    "bitwise_and": jnp.bitwise_and,
    "bitwise_or": jnp.bitwise_or,
    "bitwise_xor": jnp.bitwise_xor,
    "bitwise_not": jnp.bitwise_not,
    "bitwise_left_shift": jnp.left_shift,
    "bitwise_right_shift": jnp.right_shift,
    "__lshift__": jnp.left_shift,
    "__rshift__": jnp.right_shift,
    "logical_and": jnp.logical_and,
    "logical_or": jnp.logical_or,
    "logical_not": jnp.logical_not,
    "neg": jnp.negative,
    "abs": jnp.abs,
    "floor": jnp.floor,
    "ceil": jnp.ceil,
    "round": jnp.round,
    "trunc": jnp.trunc,
    "sign": jnp.sign,
    "sqrt": jnp.sqrt,
    "rsqrt": lax.rsqrt,
    "reciprocal": jnp.reciprocal,
    "exp": jnp.exp,
    "expm1": jnp.expm1,
    "log": jnp.log,
    "log1p": jnp.log1p,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tanh": jnp.tanh,
    "erf": lax.erf,
    "sigmoid": jax.nn.sigmoid,
    "relu": lambda x: jnp.maximum(x, 0),
    "leaky_relu": lambda x, slope=0.01: jnp.where(x > 0, x, x * slope),
    "gelu": lambda x, approximate="none": jax.nn.gelu(x, approximate=approximate == "tanh"),
    "elu": lambda x, alpha=1, scale=1, within=1: scale * jnp.where(x > 0, x, alpha * jnp.expm1(within * x)),
    "hardtanh": lambda x, least=-1, most=1: _clamp(x, least, most),
    "clamp": _clamp,
    "isnan": jnp.isnan,
    "isinf": jnp.isinf,
    "mm": _matmul,
    "bmm": _matmul,
    "addmm": _addmm,
    "convolution": _convolution,
    "max_pool2d_with_indices": _max_pool,
    "native_layer_norm": _layer_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_softmax": lambda x, axis, half: jax.nn.softmax(x, axis),
    "_log_softmax": lambda x, axis, half: jax.nn.log_softmax(x, axis),
    "sum": _sum,
    "mean": _mean,
    "var": lambda x, axes=None, correction=1, keepdim=False: jnp.var(x, axes, ddof=correction, keepdims=keepdim),
    "amax": lambda x, axes=(), keepdim=False: jnp.max(x, axes or None, keepdims=keepdim),
    "amin": lambda x, axes=(), keepdim=False: jnp.min(x, axes or None, keepdims=keepdim),
    "any": _any,
    "argmax": lambda x, axis=None, keepdim=False: jnp.argmax(x, axis, keepdims=keepdim),
    "cumsum": lambda x, axis, dtype=None: jnp.cumsum(x, axis, dtype=dtype),
    "linalg_vector_norm": _norm,
    "embedding": _embedding,
    "index": _index,
    "index_select": lambda x, axis, ids: jnp.take(x, ids, axis, mode="clip"),
    "gather": lambda x, axis, ids: jnp.take_along_axis(x, ids, axis, mode="clip"),
    "select": _select,
    "slice": _slice,
    "split_with_sizes": _split,
    "cat": lambda parts, axis=0: jnp.concatenate(parts, axis),
    "view": lambda x, sizes: jnp.reshape(x, sizes),
    "permute": lambda x, axes: jnp.transpose(x, axes),
    "unsqueeze": jnp.expand_dims,
    "squeeze": _squeeze,
    "expand": _expand,
    "repeat": lambda x, counts: jnp.tile(x, counts),
    "flip": lambda x, axes: jnp.flip(x, axes),
    "arange": _arange,
    "full": lambda sizes, value, dtype=None: jnp.full(sizes, value, dtype),
    "full_like": lambda x, value, dtype=None: jnp.full_like(x, value, dtype=dtype),
    "scalar_tensor": lambda value, dtype=None: jnp.asarray(value, dtype),
    "sym_size": lambda x, axis: x.shape[axis],
}
