"""Core ATen operators as TensorFlow functions, for axes known only at run time too."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from bakeoff.backends import Unsupported


def _cast(value: Any, dtype: str) -> Any:
    if isinstance(value, tuple):
        return value
    return tf.cast(value, dtype) if tf.is_tensor(value) else tf.constant(value, dtype)


def _size(x: Any, axis: int) -> Any:
    """A number where it is known, else a scalar tensor."""
    known = x.shape[axis]
    return tf.shape(x, out_type=tf.int64)[axis] if known is None else known


def _sizes(sizes: tuple[Any, ...]) -> Any:
    """A shape for TensorFlow: as it is where all sizes are numbers, stacked where some are tensors."""
    if all(isinstance(size, int) for size in sizes):
        return sizes
    return tf.stack([tf.cast(size, tf.int64) for size in sizes])


def _view(x: Any, sizes: tuple[Any, ...]) -> Any:
    """One free axis becomes -1, which TensorFlow finds out by itself."""
    free = [number for number, size in enumerate(sizes) if not isinstance(size, int)]
    if len(free) == 1 and -1 not in [size for size in sizes if isinstance(size, int)]:
        sizes = tuple(-1 if number in free else size for number, size in enumerate(sizes))
    return tf.reshape(x, _sizes(sizes))


def _axes(axes: Any) -> Any:
    return None if axes is None or axes == () else axes


def _rows(table: Any, ids: Any, *_: Any) -> Any:
    return tf.gather(table, ids)


def _index(x: Any, places: tuple[Any, ...]) -> Any:
    """Neighbouring index tensors as one gather along the axes that they index, joined into one."""
    given = [axis for axis, place in enumerate(places) if place is not None]
    first, last = given[0], given[-1] + 1
    if len(given) != last - first:
        raise Unsupported("indices with a gap between them")
    if places[first].dtype == tf.bool:
        raise Unsupported("a mask as an index")
    sizes = [_size(x, axis) for axis in range(len(x.shape))]
    flat: Any = 0
    for axis in given:
        place = tf.cast(places[axis], tf.int64)
        size = tf.cast(sizes[axis], tf.int64)
        flat = flat * size + tf.where(place < 0, place + size, place)
    if len(given) > 1:
        x = _view(x, (*sizes[:first], -1, *sizes[last:]))
    return tf.gather(x, flat, axis=first)


def _gather(x: Any, axis: int, ids: Any) -> Any:
    """torch's gather, as TensorFlow's over the last axis with all others as batch axes."""
    rank = len(x.shape)
    order = [number for number in range(rank) if number != axis % rank] + [axis % rank]
    back = [order.index(number) for number in range(rank)]
    found = tf.gather(tf.transpose(x, order), tf.transpose(ids, order), axis=rank - 1, batch_dims=rank - 1)
    return tf.transpose(found, back)


def _slice(x: Any, axis: int = 0, start: Any = None, end: Any = None, step: int = 1) -> Any:
    end = None if isinstance(end, int) and end >= 2**31 else end
    return x[(slice(None),) * (axis % len(x.shape)) + (slice(start, end, step),)]


def _select(x: Any, axis: int, place: Any) -> Any:
    return x[(slice(None),) * (axis % len(x.shape)) + (place,)]


def _expand(x: Any, sizes: tuple[Any, ...], implicit: bool = False) -> Any:
    missing = len(sizes) - len(x.shape)
    own = [1] * missing + [_size(x, axis) for axis in range(len(x.shape))]
    shape = tuple(mine if isinstance(size, int) and size == -1 else size for size, mine in zip(sizes, own, strict=True))
    alike = [isinstance(a, int) and isinstance(b, int) and a == b for a, b in zip(shape, own, strict=True)]
    return x if all(alike) else tf.broadcast_to(x, _sizes(shape))


def _sum(x: Any, axes: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    x = tf.cast(x, dtype) if dtype else tf.cast(x, tf.int64) if x.dtype.is_bool or x.dtype.is_integer else x
    return tf.reduce_sum(x, _axes(axes), keepdim)


def _mean(x: Any, axes: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    return tf.reduce_mean(tf.cast(x, dtype) if dtype else x, _axes(axes), keepdim)


def _var(x: Any, axes: Any = None, correction: float = 1, keepdim: bool = False) -> Any:
    deviations = tf.math.squared_difference(x, tf.reduce_mean(x, _axes(axes), keepdims=True))
    total = tf.reduce_sum(deviations, _axes(axes), keepdim)
    return total / (tf.cast(tf.size(x) / tf.size(total), x.dtype) - correction)


def _argmax(x: Any, axis: int | None = None, keepdim: bool = False) -> Any:
    if axis is None:
        return tf.argmax(tf.reshape(x, [-1]))
    found = tf.argmax(x, axis)
    return tf.expand_dims(found, axis) if keepdim else found


def _trunc(x: Any) -> Any:
    return tf.where(x < 0, tf.math.ceil(x), tf.floor(x))


def _norm(x: Any, order: float = 2, axes: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    if order == 2:
        return tf.sqrt(tf.reduce_sum(tf.square(x), _axes(axes), keepdim))
    return tf.reduce_sum(tf.abs(x) ** order, _axes(axes), keepdim) ** (1 / order)


def _div(x: Any, y: Any, rounding_mode: str | None = None) -> Any:
    if rounding_mode == "floor":
        return tf.math.floordiv(x, y)
    if rounding_mode == "trunc":
        return tf.truncatediv(x, y) if x.dtype.is_integer else _trunc(x / y)
    return x / y


def _clamp(x: Any, least: Any = None, most: Any = None) -> Any:
    x = x if least is None else tf.maximum(x, tf.cast(least, x.dtype))
    return x if most is None else tf.minimum(x, tf.cast(most, x.dtype))


def _addmm(bias: Any, x: Any, y: Any, beta: float = 1, alpha: float = 1) -> Any:
    """A product with a bias, as the operators that TensorFlow joins with the activation behind them."""
    if alpha == beta == 1 and len(bias.shape) == 1:
        return tf.nn.bias_add(tf.matmul(x, y), bias)
    return alpha * tf.matmul(x, y) + beta * bias


def _layer_norm(x: Any, shape: tuple[int, ...], weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    axes = list(range(len(x.shape) - len(shape), len(x.shape)))
    mean = tf.reduce_mean(x, axes, keepdims=True)
    scale = tf.math.rsqrt(tf.reduce_mean(tf.math.squared_difference(x, mean), axes, keepdims=True) + eps)
    y = (x - mean) * scale
    y = y if weight is None else y * weight
    return (y if bias is None else y + bias), mean, scale


def _batch_norm(x: Any, weight: Any, bias: Any, mean: Any, var: Any, _: float, eps: float) -> tuple[Any, Any, Any]:
    scale = tf.math.rsqrt(var + eps) * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean * scale
    per_channel = (-1,) + (1,) * (len(x.shape) - 2)
    return x * tf.reshape(scale, per_channel) + tf.reshape(shift, per_channel), mean[:0], var[:0]


def _convolution(
    x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, _: Any, groups: int
) -> Any:
    """Channels last inside, which is all that the CPU's kernels take."""
    if transposed or groups != 1 or len(x.shape) != 4:
        raise Unsupported("a convolution that is transposed, in groups, or not over images")
    x = tf.pad(tf.transpose(x, (0, 2, 3, 1)), [(0, 0), *((size, size) for size in padding), (0, 0)])
    y = tf.nn.conv2d(x, tf.transpose(weight, (2, 3, 1, 0)), stride, "VALID", dilations=dilation)
    return tf.transpose(y if bias is None else tf.nn.bias_add(y, bias), (0, 3, 1, 2))


def _max_pool(x: Any, kernel: Any, stride: Any = (), padding: Any = (0, 0), dilation: Any = (1, 1)) -> tuple[Any, None]:
    if tuple(dilation) != (1, 1):
        raise Unsupported("a dilated pool")
    around = [(0, 0), *((size, size) for size in padding), (0, 0)]
    x = tf.pad(tf.transpose(x, (0, 2, 3, 1)), around, constant_values=x.dtype.min)
    return tf.transpose(tf.nn.max_pool2d(x, kernel, stride or kernel, "VALID"), (0, 3, 1, 2)), None


def _arange(start: Any, end: Any = None, step: Any = 1, dtype: Any = None) -> Any:
    return tf.cast(tf.range(start) if end is None else tf.range(start, end, step), dtype or tf.int64)


def _full(sizes: tuple[Any, ...], value: Any, dtype: Any = None) -> Any:
    return tf.fill(_sizes(sizes), _cast(value, dtype or "float32"))


def _squeeze(x: Any, axes: Any = None) -> Any:
    rank = len(x.shape)
    wanted = range(rank) if axes is None else [axis % rank for axis in ((axes,) if isinstance(axes, int) else axes)]
    ones = [axis for axis in wanted if x.shape[axis] == 1]
    return tf.squeeze(x, ones) if ones else x


def _same(x: Any, *_: Any, **__: Any) -> Any:
    return x


TABLE: dict[str, Any] = {
    "cast": _cast,
    **dict.fromkeys(("clone", "alias", "_to_copy"), _same),
    "add": lambda x, y, alpha=1: x + (y if alpha == 1 else alpha * y),
    "sub": lambda x, y, alpha=1: x - (y if alpha == 1 else alpha * y),
    "mul": lambda x, y: x * y,
    "div": _div,
    "pow": tf.pow,
    "remainder": tf.math.floormod,
    "fmod": tf.truncatemod,
    "maximum": tf.maximum,
    "minimum": tf.minimum,
    "eq": tf.equal,
    "ne": tf.not_equal,
    "lt": tf.less,
    "le": tf.less_equal,
    "gt": tf.greater,
    "ge": tf.greater_equal,
    "where": tf.where,
    "bitwise_and": lambda x, y: tf.logical_and(x, y) if x.dtype.is_bool else tf.bitwise.bitwise_and(x, y),
    "bitwise_or": lambda x, y: tf.logical_or(x, y) if x.dtype.is_bool else tf.bitwise.bitwise_or(x, y),
    "bitwise_xor": lambda x, y: tf.math.logical_xor(x, y) if x.dtype.is_bool else tf.bitwise.bitwise_xor(x, y),
    "bitwise_not": lambda x: tf.logical_not(x) if x.dtype.is_bool else tf.bitwise.invert(x),
    "bitwise_left_shift": tf.bitwise.left_shift,
    "bitwise_right_shift": tf.bitwise.right_shift,
    "__lshift__": tf.bitwise.left_shift,
    "__rshift__": tf.bitwise.right_shift,
    "logical_and": lambda x, y: tf.logical_and(tf.cast(x, tf.bool), tf.cast(y, tf.bool)),
    "logical_or": lambda x, y: tf.logical_or(tf.cast(x, tf.bool), tf.cast(y, tf.bool)),
    "logical_not": lambda x: tf.logical_not(tf.cast(x, tf.bool)),
    "neg": tf.negative,
    "abs": tf.abs,
    "floor": tf.floor,
    "ceil": tf.math.ceil,
    "round": tf.round,
    "trunc": _trunc,
    "sign": tf.sign,
    "sqrt": tf.sqrt,
    "rsqrt": tf.math.rsqrt,
    "reciprocal": tf.math.reciprocal,
    "exp": tf.exp,
    "expm1": tf.math.expm1,
    "log": tf.math.log,
    "log1p": tf.math.log1p,
    "sin": tf.sin,
    "cos": tf.cos,
    "tanh": tf.tanh,
    "erf": tf.math.erf,
    "sigmoid": tf.sigmoid,
    "relu": tf.nn.relu,
    "leaky_relu": lambda x, slope=0.01: tf.nn.leaky_relu(x, slope),
    "gelu": lambda x, approximate="none": tf.nn.gelu(x, approximate == "tanh"),
    "elu": lambda x, alpha=1, scale=1, within=1: scale * tf.where(x > 0, x, alpha * tf.math.expm1(within * x)),
    "hardtanh": lambda x, least=-1, most=1: _clamp(x, least, most),
    "clamp": _clamp,
    "isnan": tf.math.is_nan,
    "isinf": tf.math.is_inf,
    "mm": tf.matmul,
    "bmm": tf.matmul,
    "addmm": _addmm,
    "convolution": _convolution,
    "max_pool2d_with_indices": _max_pool,
    "native_layer_norm": _layer_norm,
    "_native_batch_norm_legit_no_training": _batch_norm,
    "_softmax": lambda x, axis, half: tf.nn.softmax(x, axis),
    "_log_softmax": lambda x, axis, half: tf.nn.log_softmax(x, axis),
    "sum": _sum,
    "mean": _mean,
    "var": _var,
    "amax": lambda x, axes=(), keepdim=False: tf.reduce_max(x, _axes(axes), keepdim),
    "amin": lambda x, axes=(), keepdim=False: tf.reduce_min(x, _axes(axes), keepdim),
    "any": lambda x, axes=None, keepdim=False: tf.reduce_any(tf.cast(x, tf.bool), _axes(axes), keepdim),
    "argmax": _argmax,
    "cumsum": lambda x, axis, dtype=None: tf.cumsum(tf.cast(x, dtype) if dtype else x, axis),
    "linalg_vector_norm": _norm,
    "embedding": _rows,
    "index": _index,
    "index_select": lambda x, axis, ids: tf.gather(x, ids, axis=axis),
    "gather": _gather,
    "select": _select,
    "slice": _slice,
    "split_with_sizes": lambda x, sizes, axis=0: tf.split(x, _sizes(sizes), axis),
    "cat": lambda parts, axis=0: tf.concat(parts, axis),
    "view": _view,
    "permute": tf.transpose,
    "unsqueeze": tf.expand_dims,
    "squeeze": _squeeze,
    "expand": _expand,
    "repeat": lambda x, counts: tf.tile(x, _sizes(counts)),
    "flip": lambda x, axes: tf.reverse(x, axes),
    "arange": _arange,
    "full": _full,
    "full_like": lambda x, value, dtype=None: tf.fill(tf.shape(x), _cast(value, dtype or x.dtype)),
    "scalar_tensor": lambda value, dtype=None: _cast(value, dtype or "float32"),
    "sym_size": _size,
}
