"""Cost per token as tokens grow, per neuron as neurons grow, and what that means at full scale.

The extrapolation adds up what each part alone would take, as if nothing overlapped: an upper bound
on this machine. Each figure is shown with its arithmetic.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch

from benchmarks.harness import COST, HOURS, Measure, Result, Series, Task, race
from benchmarks.recordings import (
    Ingest,
    analyse,
    array_files,
    drop_cached,
    forget_analyses,
)
from benchmarks.scoring import read_files
from benchmarks.sizes import Bench, Shape
from store.files import folder_bytes

PRODUCT_TOKENS = 2048


@dataclass(frozen=True)
class Scale:
    """A recording to extrapolate to: GPT-NeoX models on windows of 2,048 tokens."""

    name: str
    layers: int
    d_model: int
    neurons: int
    tokens: int
    window: int = 2048

    @property
    def values(self) -> int:
        """Pre-activations."""
        return self.layers * self.neurons * self.tokens

    @property
    def n_bytes(self) -> int:
        """Bytes of pre-activations and inputs at 16 bits."""
        return 2 * (self.values + self.layers * self.d_model * self.tokens)

    @property
    def flops(self) -> int:
        """Operations of the forward passes: 12 d^2 weights a layer, and attention in full."""
        weights = 4 * self.d_model**2 + 2 * self.d_model * self.neurons
        return self.layers * self.tokens * (2 * weights + 4 * self.window * self.d_model)


SCALES = (
    Scale("paper (Pythia-1.4B)", 24, 2048, 8192, 286_720),
    Scale("Pythia-12B", 36, 5120, 20_480, 286_720),
)


def run(bench: Bench) -> list[Result]:
    """Measure how costs grow, and extrapolate."""
    shape = bench.sizes.growing
    grown = {f: replace(shape, name=f"{shape.name}-{f}x", windows=f * shape.windows)
             for f in bench.sizes.factors}  # fmt: skip
    widths = {w: replace(shape, name=f"{shape.name}-{w}", d_mlp=w, windows=4 * shape.windows)
              for w in bench.sizes.layer_widths}  # fmt: skip
    tokens, longest = _grow(bench, grown, "token", {f: s.n_tokens for f, s in grown.items()})
    neurons, _ = _grow(bench, widths, "neuron", {w: s.d_mlp for w, s in widths.items()})
    return [*tokens, *neurons, *_extrapolate(bench, longest)]


@dataclass(frozen=True)
class Rates:
    """What the largest recording cost: bytes a second into and out of the disk, s a value."""

    write: float
    read: float
    score: float


def _grow(
    bench: Bench, shapes: Mapping[int, Shape], unit: str, units: Mapping[int, int]
) -> tuple[list[Result], Rates]:
    """Time ingest, analyze and reading of each shape, in turns, and compare with the smallest."""
    runs = {key: Ingest(bench, shape) for key, shape in shapes.items()}
    ingests = race(
        {str(k): Task(r.run, r.prepare, units[k]) for k, r in runs.items()}, bench.rounds
    )
    scores = race({str(k): _score(r, units[k]) for k, r in runs.items()}, bench.rounds)
    last = list(runs)[-1]
    rates = _rates(bench, runs[last], ingests[str(last)], scores[str(last)], units[last])
    for made in runs.values():
        made.drop()
    results = [
        _compare(bench, command, series, shapes, unit, key)
        for command, series in (("ingest", ingests), ("analyze", scores))
        for key in list(shapes)[1:]
    ]
    return results, rates


def _score(made: Ingest, units: int) -> Task:
    def prepare() -> None:
        assert made.store is not None
        forget_analyses(made.store)

    return Task(lambda: analyse(made.recording.store), prepare, units)


def _rates(bench: Bench, made: Ingest, ingest: Series, score: Series, units: int) -> Rates:
    files = array_files(made.recording, 0, "preactivations")
    reading = Task(lambda: read_files(files), lambda: drop_cached(files))
    cold = race({"read": reading}, bench.rounds)["read"].median
    arrays = folder_bytes(made.recording.store.arrays)
    values = made.shape.n_tokens * made.shape.d_mlp
    return Rates(
        write=arrays / (ingest.median * units),
        read=sum(f.stat().st_size for f in files) / cold,
        score=score.median * units / values,
    )


def _compare(
    bench: Bench,
    command: str,
    series: Mapping[str, Series],
    shapes: Mapping[int, Shape],
    unit: str,
    key: int,
) -> Result:
    first, shape = next(iter(shapes)), shapes[key]
    grown = key if unit == "token" else key / first
    measure = Measure(
        f"scaling.{command}.{unit}s.{key}",
        f"{command}: cost per {unit}, {grown:g}x the {unit}s",
        shape.text, f"cost per {unit} at {shapes[first].text}", COST,
    )  # fmt: skip
    own = series[str(key)]
    note = f"{1e6 * own.median:,.2f} us a {unit}"
    return Result(measure, own, series[str(first)], note=note)


def _extrapolate(bench: Bench, rates: Rates) -> list[Result]:
    products = {d: _product_rate(bench, d) for d in bench.sizes.products}
    return [
        result
        for scale, flops in zip(SCALES, products.values(), strict=False)
        for result in (_ingest_at(scale, rates, flops), _analyze_at(scale, rates))
    ]


def _product_rate(bench: Bench, d_model: int) -> float:
    """Return the operations a second of the product that dominates at this width, float32."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(PRODUCT_TOKENS, d_model, generator=generator)
    w = torch.randn(4 * d_model, d_model, generator=generator)
    seconds = race({"product": Task(lambda: torch.matmul(x, w.T))}, bench.rounds)["product"].median
    return 2 * PRODUCT_TOKENS * d_model * 4 * d_model / seconds


def _ingest_at(scale: Scale, rates: Rates, flops: float) -> Result:
    forward, disk = scale.flops / flops, scale.n_bytes / rates.write
    lines = (
        f"values: {scale.layers} layers x {scale.neurons:,} neurons x {scale.tokens:,} tokens = "
        f"{scale.values:.3g}; bytes: 2 x (values + {scale.layers} x {scale.d_model:,} x "
        f"{scale.tokens:,}) = {scale.n_bytes / 1e9:,.0f} GB",
        f"forward: {scale.layers} x {scale.tokens:,} x (2 x (4 d^2 + 2 d x {scale.neurons:,}) + "
        f"4 x {scale.window:,} d), d = {scale.d_model:,}, = {scale.flops:.3g} operations, at "
        f"{flops / 1e9:,.0f} G/s (float32 product of this width) = {forward / 3600:.2f} h",
        f"recording: {scale.n_bytes / 1e9:,.0f} GB at {rates.write / 1e6:,.0f} MB/s "
        f"(ingest of the disk-bound model) = {disk / 3600:.2f} h",
        f"ingest <= {forward / 3600:.2f} + {disk / 3600:.2f} h (without overlap)",
    )
    return _at(scale, "ingest", forward + disk, lines)


def _analyze_at(scale: Scale, rates: Rates) -> Result:
    n_bytes, scoring = 2 * scale.values, scale.values * rates.score
    reading = n_bytes / rates.read
    lines = (
        f"scoring: {scale.values:.3g} values x {1e9 * rates.score:.3f} ns (all cores, cached) = "
        f"{scoring / 3600:.2f} h",
        f"reading: {n_bytes / 1e9:,.0f} GB at {rates.read / 1e6:,.0f} MB/s cold = "
        f"{reading / 3600:.2f} h",
        f"analyze <= {scoring / 3600:.2f} + {reading / 3600:.2f} h (without overlap)",
    )
    return _at(scale, "analyze", scoring + reading, lines)


def _at(scale: Scale, command: str, seconds: float, lines: tuple[str, ...]) -> Result:
    measure = Measure(
        f"scaling.{command}.{scale.name}",
        f"{command} at the scale of the {scale.name}" if "paper" in scale.name
        else f"{command} of {scale.name}",
        f"{scale.layers} layers x {scale.neurons:,} neurons x {scale.tokens:,} tokens",
        "none: hours, extrapolated", HOURS,
    )  # fmt: skip
    return Result(measure, Series((seconds,)), arithmetic=lines)
