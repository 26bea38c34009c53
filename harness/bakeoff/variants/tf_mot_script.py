"""Remakes linear layers by TensorFlow Model Optimization, in a process of another environment: run by its path.

    python tf_mot_script.py prune|cluster|qat PARAMETER SEED CAME GAVE

CAME and GAVE are .npz files. For layer I, CAME holds `weight.I` float32 [outputs, inputs], `bias.I` where the layer has
one, and `rows.I` [rows, inputs], which the layer reads in the model at work. Each layer is trained to answer them as it
did, while TF-MOT prunes, clusters or quantises it. GAVE holds `weight.I`, `bias.I` and `error.I`: what is off of the
answers to rows kept apart, as a share of those answers' spread.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tensorflow_model_optimization as tfmot
import tf_keras as keras
from numpy.typing import NDArray

Array = NDArray[np.float32]
Wrap = Callable[[Any, int], Any]
"""The model as TF-MOT trains it, given the plain one and the number of steps."""
Strip = Callable[[Any], list[Array]]
"""A trained one's [kernel [inputs, outputs], bias [outputs]], or its kernel alone."""

BATCH = 128
EPOCHS = 20
RATE = 0.02
"""Adam's first step, of the root mean square of the layer's weights; it falls to 0 along a cosine."""
KEPT_APART = 8
"""One row of so many is not trained on."""
PRUNED_BY = 0.6
"""The share of the steps after which all zeros are there."""
MASKS = 16
"""How often the zeros are chosen again until then."""


def main(kind: str, parameter: str, seed: str, came: str, gave: str) -> None:
    """Remake all layers of one file into another, in order."""
    tf.config.threading.set_intra_op_parallelism_threads(len(os.sched_getaffinity(0)))
    tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    wrap, strip = _methods(kind, parameter)
    made: dict[str, Any] = {}
    with np.load(came, allow_pickle=False) as layers:
        for place in range(sum(name.startswith("weight.") for name in layers)):
            keras.backend.clear_session()
            keras.utils.set_random_seed(int(seed))
            names = [each for each in ("weight", "bias") if f"{each}.{place}" in layers]
            weights = [layers[f"{each}.{place}"].T for each in names]
            weights, error = _remade(weights, layers[f"rows.{place}"], wrap, strip)
            made |= {f"{each}.{place}": numbers.T for each, numbers in zip(names, weights, strict=True)}
            made[f"error.{place}"] = error
    np.savez(gave, **made)


def _methods(kind: str, parameter: str) -> tuple[Wrap, Strip]:
    if kind == "prune":
        return lambda model, steps: _pruned(model, steps, float(parameter)), _stripped_of_masks
    if kind == "cluster":
        return lambda model, _: _clustered(model, int(parameter)), _stripped_of_clusters
    return lambda model, _: _quantised(model), _on_the_grid


def _remade(weights: list[Array], rows: Array, wrap: Wrap, strip: Strip) -> tuple[list[Array], float]:
    """A layer's [kernel, bias], or [kernel], made anew, and the error."""
    wanted = _answers(weights, rows)
    apart = len(rows) // KEPT_APART
    model = _dense(weights)
    steps = EPOCHS * -(-(len(rows) - apart) // BATCH)
    wrapped = wrap(model, steps)
    _set_ranges(wrapped, rows, wanted)
    rate = RATE * float(np.sqrt(np.square(weights[0]).mean()) or 1.0)
    falling = keras.optimizers.schedules.CosineDecay(rate, steps)
    wrapped.compile(optimizer=keras.optimizers.legacy.Adam(falling), loss="mse")
    prunes = [tfmot.sparsity.keras.UpdatePruningStep()] if strip is _stripped_of_masks else []
    wrapped.fit(rows[apart:], wanted[apart:], batch_size=BATCH, epochs=EPOCHS, callbacks=prunes, verbose=0)
    made = strip(wrapped)
    judged = slice(apart or None)
    off, spread = (_answers(made, rows) - wanted)[judged], (wanted - wanted.mean(0))[judged]
    return made, float(np.sqrt(np.square(off).sum() / max(np.square(spread).sum(), 1e-12)))


def _dense(weights: list[Array]) -> Any:
    inputs, outputs = weights[0].shape
    layer = keras.layers.Dense(outputs, use_bias=len(weights) > 1, name="dense")
    model = keras.Sequential([keras.layers.Input((inputs,)), layer])
    layer.set_weights(weights)
    return model


def _answers(weights: list[Array], rows: Array) -> Array:
    answers: Array = sum(weights[1:], rows @ weights[0])
    return answers


def _pruned(model: Any, steps: int, ratio: float) -> Any:
    """With ever more of the smallest weights at zero, the layer's share being the `ratio`."""
    every = max(1, int(PRUNED_BY * steps) // MASKS)
    last = every * (int(PRUNED_BY * steps) // every)
    schedule = tfmot.sparsity.keras.PolynomialDecay(0.0, ratio, begin_step=0, end_step=last, frequency=every)
    return tfmot.sparsity.keras.prune_low_magnitude(model, pruning_schedule=schedule)


def _stripped_of_masks(model: Any) -> list[Array]:
    numbers: list[Array] = tfmot.sparsity.keras.strip_pruning(model).get_weights()
    return numbers


def _clustered(model: Any, count: int) -> Any:
    """With `count` values, which begin where k-means++ puts them and are trained."""
    start = tfmot.clustering.keras.CentroidInitialization.KMEANS_PLUS_PLUS
    return tfmot.clustering.keras.cluster_weights(model, number_of_clusters=count, cluster_centroids_init=start)


def _stripped_of_clusters(model: Any) -> list[Array]:
    numbers: list[Array] = tfmot.clustering.keras.strip_clustering(model).get_weights()
    return numbers


def _quantised(model: Any) -> Any:
    """With what it reads, its kernel and its answers rounded to 8 bits as it trains."""

    def marked(layer: Any) -> Any:
        return tfmot.quantization.keras.quantize_annotate_layer(layer, _PerOutput())

    marked_model = keras.models.clone_model(model, clone_function=marked)
    marked_model.set_weights(model.get_weights())
    with tfmot.quantization.keras.quantize_scope({"_PerOutput": _PerOutput}):
        return tfmot.quantization.keras.quantize_apply(marked_model)


def _on_the_grid(model: Any) -> list[Array]:
    """The trained kernel rounded as the model rounds it: each output's weights are -127 to 127 times its own step."""
    kernel, *bias = (weight.numpy() for weight in model.layers[-1].trainable_weights)
    reach = np.abs(kernel).max(0)
    rounded = tf.quantization.fake_quant_with_min_max_vars_per_channel(
        kernel, -reach, reach, num_bits=8, narrow_range=True
    )
    return [rounded.numpy(), *bias]


class _PerOutput(tfmot.quantization.keras.QuantizeConfig):  # type: ignore[misc]
    """TF-MOT's default scheme of 8 bits for a Dense layer, but with a step for each output as engines have it."""

    _kernel = tfmot.quantization.keras.quantizers.LastValueQuantizer(
        8, per_axis=True, symmetric=True, narrow_range=True
    )
    _answer = tfmot.quantization.keras.quantizers.MovingAverageQuantizer(
        8, per_axis=False, symmetric=False, narrow_range=False
    )

    def get_weights_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        return [(layer.kernel, self._kernel)]

    def get_activations_and_quantizers(self, layer: Any) -> list[tuple[Any, Any]]:
        return [(layer.activation, self._answer)]

    def set_quantize_weights(self, layer: Any, quantize_weights: list[Any]) -> None:
        layer.kernel = quantize_weights[0]

    def set_quantize_activations(self, layer: Any, quantize_activations: list[Any]) -> None:
        layer.activation = quantize_activations[0]

    def get_output_quantizers(self, layer: Any) -> list[Any]:
        return []

    def get_config(self) -> dict[str, Any]:
        return {}


def _set_ranges(model: Any, rows: Array, wanted: Array) -> None:
    """Begin with the ranges of what the layer reads and answers: TF-MOT itself begins with -6 to 6 and moves slowly."""
    for weight in model.weights:
        for name, numbers in {"quantize_layer/quantize_layer": rows, "post_activation": wanted}.items():
            if f"{name}_min" in weight.name:
                weight.assign(min(0.0, float(numbers.min())))
            if f"{name}_max" in weight.name:
                weight.assign(max(0.0, float(numbers.max())))


if __name__ == "__main__":
    main(*sys.argv[1:])
