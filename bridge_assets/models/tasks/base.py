"""What a task is: everything in which models may differ by what they are set to do. The two there are: `tasks`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from bridge_assets.models.metrics.bootstrap import Measured

if TYPE_CHECKING:
    import numpy as np
    import polars as pl


@dataclass(frozen=True, slots=True)
class Judged:
    """A figure that decides whether a model is good enough.

    Attributes
    ----------
    figure : str
        Field of the scores.
    name : str
        What people call it.
    digits : int
        After the point, where it is written.
    over : str
        The forecast that the model must gain on; `over_in_words` is what people call that.
    least, most_lost : str
        Keys of `gate` in model_config.yaml: the least gain over it, the most lost against a champion.
    cannot : str
        What is said where it cannot be measured.
    lower_is_better : bool
    """

    figure: str
    name: str
    digits: int
    over: str
    over_in_words: str
    least: str
    most_lost: str
    cannot: str
    lower_is_better: bool = False

    @property
    def subject(self) -> str:
        """The name at the beginning of a sentence: abbreviations take no article."""
        return self.name if self.name.isupper() else f"the {self.name}"

    def gain(self, mine: float | None, other: float | None) -> float | None:
        """What `mine` is better than `other`; None where one of them is not known."""
        if mine is None or other is None:
            return None
        return other - mine if self.lower_is_better else mine - other

    def of(self, figures: Any) -> float | None:
        """The figure out of scores, or out of their JSON."""
        return figures[self.figure] if isinstance(figures, Mapping) else getattr(figures, self.figure)

    def written(self, value: float, sign: str = "") -> str:
        return format(value, f"{sign}.{self.digits}f")


class Task(ABC):
    """One of the two tasks."""

    name: ClassVar[str]

    #: Column of the training table that is learnt, and column of bridge_predictions that the answers stand in.
    label: ClassVar[str]
    answer: ClassVar[str]

    #: What people call an answer, and answers, and how one is written: a format of Python.
    answer_in_words: ClassVar[str]
    answers_in_words: ClassVar[str]
    form: ClassVar[str]

    #: Of the picture of calibration: what was said, and what happened.
    axes: ClassVar[tuple[str, str]]

    #: On the model card: a use, what is no use, limits, and what a group did that the model is wrong about.
    intended: ClassVar[str]
    not_intended: ClassVar[str]
    limits: ClassVar[tuple[str, ...]] = ()
    is_off: ClassVar[str]

    #: Columns that its training table has beside those that every one has.
    beside: ClassVar[tuple[str, ...]] = ()

    #: Least and greatest answer there can be.
    bounds: ClassVar[tuple[float, float]]

    #: Forecasts of `evaluation.FORECASTS` that earlier cut years are held against: they need no model.
    simple: ClassVar[tuple[str, ...]]

    #: What the average and the linear model are called there.
    average: ClassVar[str]
    linear: ClassVar[str]

    #: What the model's gain is measured over, the figures that decide, and those that say most: what they are called
    #: -> forecast, figure.
    against: ClassVar[tuple[str, ...]]
    judged: ClassVar[tuple[Judged, Judged]]
    headline: ClassVar[Mapping[str, tuple[str, str]]]

    #: How figures are made ...
    measured: ClassVar[type[Measured]]
    scores: ClassVar[Callable[..., Any]]
    reliability: ClassVar[Callable[..., Any]]
    group_figures: ClassVar[Callable[..., Any]]

    #: ... and what they are, to come back from JSON.
    scores_type: ClassVar[type]
    reliability_type: ClassVar[type]
    group_type: ClassVar[type]

    @abstractmethod
    def happened(self, rows: pl.DataFrame) -> np.ndarray:
        """What the inspections of a training table found: what is learnt, and what answers are held against."""

    @abstractmethod
    def forest(self, **settings: Any) -> Any:
        """scikit-learn's random forest for it, not fitted."""

    @abstractmethod
    def linear_model(self) -> Any:
        """scikit-learn's linear model for it, not fitted."""

    @abstractmethod
    def boosted_trees(self, **settings: Any) -> Any:
        """scikit-learn's histogram gradient boosting for it, not fitted."""

    @abstractmethod
    def ask(self, model: Any, X: Any) -> np.ndarray:
        """What a fitted model of scikit-learn, or a float16 forest, says of rows: shape (n,)."""

    @abstractmethod
    def severity(self, answers: Any) -> Any:
        """Answers, or an expression of them, turned so that the highest is to be looked at first."""

    @abstractmethod
    def foresees(self, target: str, component: str) -> str:
        """What is foreseen at the next inspection, in words."""

    @abstractmethod
    def named(self, target: str, component: str) -> str:
        """What is foreseen in a word or two, as predictions carry it."""

    @abstractmethod
    def in_all(self, answers: pl.Series) -> dict[str, float]:
        """What the answers about many bridges come to, by name."""

    @abstractmethod
    def sentence(self, answer: float) -> str:
        """An answer about one bridge, for people."""

    @property
    @abstractmethod
    def note(self) -> dict[str, str]:
        """What is written down where something is made for this task."""
