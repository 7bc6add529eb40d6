"""Options that several commands share."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

_data = partial(typer.Option, rich_help_panel="Data")
_search = partial(typer.Option, rich_help_panel="Search")
_fit = partial(typer.Option, rich_help_panel="Final training")
_output = partial(typer.Option, rich_help_panel="Output")

Task = Annotated[
    str | None,
    typer.Argument(metavar="TASK", help="Name of a task (see `pyorder tasks`), or --data.", show_default=False),
]
Length = Annotated[int | None, _data(metavar="L", help="Steps of the task's target, at least 2.")]
Parameter = Annotated[
    list[str] | None, _data(metavar="KEY=VALUE", help="Parameter of the task, such as d=4; can be repeated.")
]
TrainRows = Annotated[
    int | None,
    _data(min=1, metavar="N", help="Training rows; of own data, at most.", show_default="100,000 of a task"),
]
ValidationRows = Annotated[
    int | None,
    _data(
        min=1,
        metavar="N",
        help="Rows that orders are ranked on; of own data, at most.",
        show_default="1,000 of a task",
    ),
]
TestRows = Annotated[
    int | None,
    _data(
        min=1,
        metavar="N",
        help="Rows that success is measured on; of own data, at most.",
        show_default="10,000 of a task",
    ),
]
Data = Annotated[
    Path | None,
    _data(
        help="Your own data: .npz or .safetensors with the integer arrays inputs (N, X) and targets (N, L), a "
        "table, .csv or .parquet, or records, .jsonl, an object on every line. Without the other files it is "
        "split 80/10/10, by distinct input and seed; of the tenths, 1,000 rows rank orders and 10,000 test them, "
        "at most."
    ),
]
Inputs = Annotated[
    str | None,
    _data(
        help="Columns of a table, or keys of records (answer.value for what is inside of an object), that are "
        "given, with commas between them (a JSON list where names hold commas); none if not named.",
        metavar="a,b",
    ),
]
Targets = Annotated[
    str | None,
    _data(
        help="Columns of a table, or keys of records, whose order is asked for; all others if not named. Columns "
        "of a table that determine each other one to one count as one.",
        metavar="c,d,e",
    ),
]
Ignore = Annotated[
    str | None,
    _data(help="Columns of a table, or keys of records, to leave out, such as an id.", metavar="f,g"),
]
Groups = Annotated[
    str | None,
    _data(help="A column or key whose equal values stay on one side of every split.", metavar="NAME"),
]
Bins = Annotated[
    int | None,
    _data(
        min=2,
        metavar="N",
        help="Numbers and dates of a table with more different values than this are cut into so many bins, with "
        "as many rows in each.",
        show_default="20",
    ),
]
Tokenizer = Annotated[
    Path | None,
    _data(
        help="Folder of a Hugging Face tokenizer (needs transformers): the text of records is learned in its "
        "tokens.",
        metavar="FOLDER",
        show_default="characters",
    ),
]
MaxWidth = Annotated[
    int | None,
    _data(
        min=1,
        metavar="N",
        help="Records with more characters, or tokens, than this in a field are left out.",
        show_default="64",
    ),
]
LanguageModel = Annotated[
    Path | None,
    _search(
        help="Folder of a causal language model of Hugging Face transformers, in place of --model: it reads "
        "records as JSON, in the tokens of its own tokenizer.",
        metavar="FOLDER",
    ),
]
Lora = Annotated[
    int | None,
    _search(
        min=1,
        metavar="RANK",
        help="Train adapters of this rank (LoRA, needs peft), not the language model's weights.",
    ),
]
BuiltInExplorer = Annotated[
    bool,
    _search(
        "--built-in-explorer",
        help="Let pyorder's own model look for the graph, in less time; the language model ranks what is left.",
    ),
]
ValidationData = Annotated[Path | None, _data(help="Validation rows for --data, in a file like it.")]
TestData = Annotated[Path | None, _data(help="Test rows for --data, in a file like it.")]
Seed = Annotated[int, typer.Option(min=0, metavar="N", help="Seed of data, search and training.")]

_MODEL = (
    "nano, base, small, large, or package.module:build, your own function build(vocabulary_size, input_length, "
    "target_length) that returns a torch module."
)
_THE_MODELS = "the model's"
Model = Annotated[str | None, _search(help=_MODEL, show_default="nano on a CPU, small on a GPU")]
Steps = Annotated[
    int | None, _search(min=1, metavar="N", help="Training steps of a profiling run.", show_default=_THE_MODELS)
]
BatchSize = Annotated[
    int | None, _search(min=1, metavar="N", help="Rows a training step.", show_default=_THE_MODELS)
]
LearningRate = Annotated[float | None, _search(help="Highest learning rate.", show_default=_THE_MODELS)]
Seeds = Annotated[int, _search(min=1, metavar="N", help="Repetitions of every profiling run.")]

Resamples = Annotated[
    int,
    _search(
        min=0,
        metavar="K",
        help="Search K times more on other halves of the rows, K times with other labels, and K times from other "
        "seeds: how often each edge returns, and the order most searches agree on. How long that takes is told "
        "when the first search has ended.",
    ),
]

FitModel = Annotated[str | None, _fit(help=_MODEL, show_default="base on a CPU, large on a GPU")]
FitSteps = Annotated[int | None, _fit(min=1, metavar="N", help="Training steps.", show_default=_THE_MODELS)]
FitBatchSize = Annotated[
    int | None, _fit(min=1, metavar="N", help="Rows a training step.", show_default=_THE_MODELS)
]
FitLearningRate = Annotated[float | None, _fit(help="Highest learning rate.", show_default=_THE_MODELS)]

StepWeights = Annotated[
    str | None,
    typer.Option(
        help="How much each step counts in training and in ranking: a number for each, 0,0,1, or answer=1, which "
        "leaves out the steps that are not named.",
        metavar="WEIGHTS",
    ),
]
Precision = Annotated[str, typer.Option(help="Matrix products: auto, float32 or bfloat16.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")]
Out = Annotated[Path | None, _output(help="A new folder for settings, results and weights.")]
Json = Annotated[bool, _output("--json", help="Print one JSON object and nothing else.")]
