"""Every figure of the paper: its id, its title, and what draws it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from analysis.figures.ablations import draw_ablations, has_ablations
from analysis.figures.changes import draw_changes
from analysis.figures.distributions import (
    SMOOTH,
    draw_grid,
    draw_marks,
    draw_negative_grid,
    draw_post,
    draw_pre,
)
from analysis.figures.prevalence import draw_prevalence
from analysis.figures.profiles import draw_distances, draw_profile
from analysis.figures.results import Drawn
from analysis.figures.scatters import draw_scatter, draw_scatters
from analysis.figures.subject import Subject
from analysis.figures.tables import draw_pair_tables, draw_pairs

RELU = ("relu",)


def _is_known(_subject: Subject) -> bool:
    return True


@dataclass(frozen=True)
class FigureKind:
    """A figure: `each` where one is drawn of every recording, not one over all of them.

    Where nothing is `known` of any, one reason says so for all.
    """

    id: str
    title: str
    draw: Callable[[Subject], Drawn]
    each: bool = False
    known: Callable[[Subject], bool] = _is_known


FIGURES = (
    FigureKind("1a", "WD by model", draw_prevalence),
    FigureKind("1b", "Weight changes by step", draw_changes),
    FigureKind("2a", "OI of top pairs by layer", draw_profile, each=True),
    FigureKind("2b", "Input distance of top pairs by layer", draw_distances, each=True),
    FigureKind("3a", "Top pairs of a neuron", draw_pairs, each=True),
    FigureKind("3b", "Outputs of a neuron's pairs", draw_marks, each=True),
    FigureKind("3c", "Inputs and outputs of a neuron's pairs", draw_scatter, each=True),
    FigureKind("4a", "Pre-activations, ReLU", partial(draw_pre, key="4a", activations=RELU)),
    FigureKind(
        "4b", "Outputs of the activation, ReLU", partial(draw_post, key="4b", activations=RELU)
    ),
    FigureKind(
        "4c", "Pre-activations, GELU or SiLU", partial(draw_pre, key="4c", activations=SMOOTH)
    ),
    FigureKind(
        "4d",
        "Outputs of the activation, GELU or SiLU",
        partial(draw_post, key="4d", activations=SMOOTH),
    ),
    FigureKind("4e", "Ablations", draw_ablations, each=True, known=has_ablations),
    FigureKind("5", "Top pairs of several neurons", draw_pair_tables, each=True),
    FigureKind("6", "Inputs and outputs of several neurons' pairs", draw_scatters, each=True),
    FigureKind("7", "Distributions of the neurons of highest WD", draw_grid, each=True),
    FigureKind("8", "Negative sides of the neurons of highest WD", draw_negative_grid, each=True),
)
