"""Presets, and what a call takes as ``model``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from torch import nn

from pyorder.models.architecture import Architecture
from pyorder.models.decoder import Decoder
from pyorder.models.learner import Build, CustomLearner, DecoderLearner, Learner
from pyorder.training.recipe import Numbers, Recipe


@dataclass(frozen=True)
class Preset:
    """An architecture together with the numbers it is trained with.

    Examples
    --------
    >>> preset = PRESETS["nano"].but(width=64, steps=200)
    >>> preset.architecture.width, preset.recipe.steps
    (64, 200)
    """

    architecture: Architecture
    recipe: Recipe

    def __call__(self, vocabulary_size: int, input_length: int, target_length: int) -> Decoder:
        """Build the decoder, on the same terms as a caller's own ``build`` function."""
        return Decoder(self.architecture, vocabulary_size, input_length, target_length)

    def but(self, **numbers: Any) -> Preset:
        """The same with other numbers, of either half, by name."""
        halves: dict[str, dict[str, Any]] = {"architecture": {}, "recipe": {}}
        for name, value in numbers.items():
            half = next((half for half in halves if hasattr(getattr(self, half), name)), None)
            if half is None:
                raise TypeError(f"{name}: no number of a preset")
            halves[half][name] = value
        return Preset(
            replace(self.architecture, **halves["architecture"]), replace(self.recipe, **halves["recipe"])
        )


# nano and base were chosen for two CPU cores: with large embeddings a run of a few hundred steps tells orders
# apart that it does not with GPT-2's small ones. small and large are the published settings.
PRESETS = {
    "nano": Preset(
        Architecture(
            layers=1, heads=4, width=128, feed_forward=512, dropout=0.0, embedding_std=2.0, tied=False
        ),
        Recipe(steps=400, learning_rate=1e-3, warmup=50),
    ),
    "base": Preset(
        Architecture(
            layers=2, heads=4, width=128, feed_forward=512, dropout=0.0, embedding_std=1.0, tied=False
        ),
        Recipe(steps=1500, learning_rate=1e-3, warmup=50),
    ),
    "small": Preset(
        Architecture(
            layers=1, heads=1, width=512, feed_forward=2048, dropout=0.1, embedding_std=0.02, tied=True
        ),
        Recipe(steps=800, learning_rate=5e-5),
    ),
    "large": Preset(
        Architecture(
            layers=6, heads=1, width=512, feed_forward=2048, dropout=0.1, embedding_std=0.02, tied=True
        ),
        Recipe(steps=7810, learning_rate=5e-5),
    ),
}  # fmt: skip

# The explorer's: one layer finds the value of another step, the next may use it to find an input. A round has as
# many steps, and how many rounds there will be is not known beforehand.
EXPLORER = Preset(
    Architecture(layers=2, heads=4, width=128, feed_forward=512, dropout=0.0, embedding_std=0.5, tied=False),
    Recipe(steps=100, learning_rate=3e-3, warmup=50, schedule="constant"),
)

Model: TypeAlias = str | Preset | Architecture | Learner | Build


def resolve_model(
    model: Model | None, default: str, recipe: Recipe | None, numbers: Numbers
) -> tuple[Learner, Recipe]:
    """Turn ``model`` into what learns, and the numbers it is trained with.

    What is no preset has the numbers of the ``default`` one, but for a learning rate of its own, unless a recipe
    is given.

    Raises
    ------
    ValueError
        If the name is not a preset's.
    TypeError
        If ``model`` or ``recipe`` is of another kind.

    Examples
    --------
    >>> learner, recipe = resolve_model("nano", "base", None, {"steps": 7})
    >>> learner.name, recipe.steps
    ('nano', 7)
    """
    if recipe is not None and not isinstance(recipe, Recipe):
        raise TypeError(f"recipe: a Recipe is needed, {type(recipe).__name__} given")
    name = model if isinstance(model, str) else default if model is None else None
    if name is not None and name not in PRESETS:
        raise ValueError(f"model: {name!r} is none of {', '.join(map(repr, PRESETS))}")
    preset = PRESETS[name or default]
    learner: Learner
    if name is not None:
        learner = DecoderLearner(preset.architecture, name)
    elif isinstance(model, Preset):
        preset, learner = model, DecoderLearner(model.architecture, "preset")
    elif isinstance(model, Architecture):
        learner = DecoderLearner(model)
    elif isinstance(model, Learner):
        learner = model
    elif callable(model) and not isinstance(model, nn.Module):
        learner = CustomLearner(model)
    else:
        raise TypeError(
            "model: give a preset's name, a Preset, an Architecture, a Learner, or a function "
            "build(vocabulary_size, input_length, target_length) that returns a module; "
            f"{type(model).__name__} given"
        )
    return learner, (recipe or preset.recipe.but({"learning_rate": learner.usual_rate})).but(numbers)
