"""How each network is trained unless one is told otherwise."""

from dataclasses import dataclass, field, replace
from numbers import Integral, Real

from sklearn.base import clone

from digitflow.errors import UsageError
from digitflow.learning.augmentation import Augmentation
from digitflow.learning.inputs import check_flag, check_number
from digitflow.learning.schedules import Schedule


@dataclass(frozen=True)
class Recipe:
    """The hyper-parameters of a training; `CNNClassifier` explains each."""

    epochs: int  # passes over the training data, at most
    batch_size: int  # images per step
    learning_rate: float  # the highest
    optimizer: object = "adam"  # a name, or a function of the learning rate
    schedule: str | Schedule = "constant"
    label_smoothing: float = 0.0  # 0..0.99
    augmentation: Augmentation = field(default_factory=Augmentation)
    early_stopping: bool = False
    n_iter_no_change: int = 10  # epochs

    def check(self) -> None:
        """Refuse values that no training can use.

        Raises
        ------
        UsageError
            With the hyper-parameter's name, its value and what it must be.
        """
        check_number("epochs", self.epochs, Integral, 1)
        check_number("batch_size", self.batch_size, Integral, 1)
        check_number("learning_rate", self.learning_rate, Real, 1e-12)
        check_number("label_smoothing", self.label_smoothing, Real, 0, 0.99)
        check_flag("early_stopping", self.early_stopping)
        check_number("n_iter_no_change", self.n_iter_no_change, Integral, 1)
        if not isinstance(self.augmentation, Augmentation):
            raise UsageError(f"augmentation={self.augmentation!r}: must be an Augmentation")
        self.augmentation.check()


def recipe_of(name: str) -> Recipe:
    """Return the recipe of a network's name, with an augmentation that one may change."""
    recipe = RECIPES[name]
    return replace(recipe, augmentation=clone(recipe.augmentation))


#: By the network's name in `networks.NETWORKS`.
RECIPES: dict[str, Recipe] = {
    "fast": Recipe(
        epochs=4,
        batch_size=256,
        learning_rate=0.02,
        optimizer="muon",
        schedule="one_cycle",
        label_smoothing=0.1,
        augmentation=Augmentation(shift=2),
    ),
    "robust": Recipe(
        epochs=24,
        batch_size=128,
        learning_rate=0.014,
        optimizer="muon",
        schedule="one_cycle",
        label_smoothing=0.1,
        augmentation=Augmentation(
            shift=2, rotation=12, zoom=0.12, shear=15, elastic=2, stroke=0.6, blur=0.5, noise=0.08
        ),
    ),
    "accurate": Recipe(
        epochs=24,
        batch_size=128,
        learning_rate=0.014,
        optimizer="muon",
        schedule="one_cycle",
        label_smoothing=0.1,
        augmentation=Augmentation(shift=2, rotation=10, zoom=0.1, shear=8, elastic=2),
    ),
    "tiny": Recipe(
        epochs=40,
        batch_size=128,
        learning_rate=0.008,
        schedule="one_cycle",
        label_smoothing=0.05,
        augmentation=Augmentation(shift=2, rotation=8, zoom=0.08, shear=5),
    ),
    # Tutorials leave the rate constant; so trained, two runs on MNIST stayed below 98 %.
    "ann": Recipe(epochs=10, batch_size=32, learning_rate=0.001, schedule="cosine"),
    "mlp": Recipe(epochs=15, batch_size=32, learning_rate=0.001, optimizer="sgd"),
    "wide_ann": Recipe(
        epochs=50,
        batch_size=256,
        learning_rate=0.004,
        schedule="one_cycle",
        label_smoothing=0.1,
        augmentation=Augmentation(shift=2, rotation=10, zoom=0.1, shear=8, elastic=3),
    ),
    "conv1": Recipe(epochs=10, batch_size=64, learning_rate=0.001),
    "conv2": Recipe(epochs=10, batch_size=32, learning_rate=0.001),
    "conv5": Recipe(
        epochs=50,
        batch_size=128,
        learning_rate=0.001,
        schedule="plateau",
        augmentation=Augmentation(rotation=10, zoom=0.1, shift=2.8),
        early_stopping=True,
    ),
    "conv6": Recipe(
        epochs=50,
        batch_size=128,
        learning_rate=0.001,
        schedule="plateau",
        augmentation=Augmentation(rotation=10, zoom=0.1, shift=2.8),
        early_stopping=True,
    ),
}
