"""A causal language model of Hugging Face transformers as what learns: one model writes records in all orders.

It reads a record as JSON (`pyorder.models.layout`), and the keys tell it the order. Losses are those of the tokens
of values, over all tokens that the model has.

    B  rows    T  tokens of a record    P  tokens of values    C  columns    L  steps    V  token ids of the data
"""

from __future__ import annotations

import inspect
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pyorder._checks import check_integer
from pyorder.data._tokenizers import ByTokens, splitter
from pyorder.data.dataset import Dataset
from pyorder.data.schema import IGNORED, Schema
from pyorder.data.tokens import Batch, Shape, Tokens
from pyorder.errors import InputError
from pyorder.execution import RandomStream, row_slices
from pyorder.models.layout import Layout, Written, check_texts
from pyorder.models.learner import Learner

__all__ = ["LanguageModel"]

# Of what is kept from one forward pass for its backward one, at most.
BYTES_AT_ONCE = {"cpu": 2**30, "cuda": 2**33}
NUMBERS_A_UNIT = 40  # activations of a layer, for each unit of its width
NUMBERS_A_LOGIT = 3  # the logit, its probability, its gradient
RATES = {"weights": 5e-5, "adapters": 2e-4, "random": 1e-3}  # of AdamW, as is usual for each


class LanguageModel(Learner):
    """A causal language model of Hugging Face transformers, for records of text in its tokenizer's tokens.

    Parameters
    ----------
    source : a folder that a model is saved in; a configuration, for a model with random weights; or a model, which
        stays as it is: every training begins with a copy of the weights that it has then
    tokenizer : the model's, with which the data was made too; or its folder. By default that of the source
    lora : rank of the adapters (LoRA) that are trained in place of the weights, by peft; None trains the weights
    explores : whether it looks for the dependency graph itself; otherwise pyorder's own any-order model does, and
        this one ranks the orders that the graph leaves

    Raises
    ------
    ImportError
        If transformers, or peft for adapters, is not installed.
    TypeError, InputError
        For another source, one that holds no causal language model, or no tokenizer. Data is refused, before any
        work, that is no text in the tokenizer's tokens, or whose records are longer than the model can read.

    Source of LoRA: Hu et al., arXiv 2106.09685.

    Examples
    --------
    >>> LanguageModel("/nowhere")
    Traceback (most recent call last):
    pyorder.errors.InputError: model: expected a folder that holds a causal language model, got '/nowhere'
    """

    def __init__(
        self, source: Any, *, tokenizer: Any = None, lora: int | None = None, explores: bool = True
    ) -> None:
        transformers = _imported("transformers", "hf")
        self.explores = explores
        self.lora = None if lora is None else check_integer(lora, "lora", 1)
        if lora is not None:
            _imported("peft", "lora")
        folder = isinstance(source, str | os.PathLike)
        self.config: Any = None  # of a model with random weights
        self.model: Any = None
        if folder:
            self.model, self.name = _load(Path(source), transformers), Path(source).resolve().name
        elif isinstance(source, transformers.PretrainedConfig):
            self.config, self.name = deepcopy(source), str(source.model_type)
        elif isinstance(source, nn.Module) and hasattr(source, "config"):
            self.model, self.name = source, str(getattr(source.config, "model_type", "model"))
        else:
            kind = type(source).__name__
            raise TypeError(f"model: expected a folder, a configuration or a model of transformers, got {kind}")
        if tokenizer is None and not folder:
            raise TypeError("tokenizer: expected the model's, got None")
        split = splitter(source if tokenizer is None else tokenizer)
        assert isinstance(split, ByTokens)
        self.splitter = split
        kind = "adapters" if lora is not None else "random" if self.model is None else "weights"
        self.usual_rate = RATES[kind]
        self._layouts: WeakKeyDictionary[Tokens, Layout] = WeakKeyDictionary()

    def build(self, shape: Shape) -> nn.Module:
        """A copy of the model in float32, or one with fresh weights; adapters are drawn too."""
        if self.model is None:
            config = deepcopy(self.config)  # which the model would share, and change
            config.dtype = torch.float32
            model = _imported("transformers", "hf").AutoModelForCausalLM.from_config(config)
        else:
            model = deepcopy(self.model)
        model = model.cpu().float().train()
        if getattr(model.config, "is_encoder_decoder", False) or model.get_output_embeddings() is None:
            raise InputError(f"model: expected a causal language model, got {type(model).__name__}")
        if self.lora is not None:
            model = _with_adapters(model, self.lora)
        if not any(parameter.requires_grad for parameter in model.parameters()):
            raise ValueError("model: the module has no parameter to train")
        built: nn.Module = model
        return built

    def rows_at_once(self, tokens: Tokens) -> int:
        """As many as fit in ``BYTES_AT_ONCE`` by an estimate of activations and logits."""
        return self._rows_at_once(self._layout(tokens).longest, tokens.device)

    def losses(self, module: nn.Module, batch: Batch, weights: Tensor | None = None) -> Tensor:
        """As `Learner.losses`."""
        nats, _ = self._values(module, batch)
        return (nats if weights is None else nats * weights).gather(1, batch.columns)

    def step_loss(self, module: nn.Module, batch: Batch) -> Tensor:
        """As `Learner.step_loss`."""
        return batch.tokens.by_step(self._values(module, batch)[0])

    def look(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """As `Learner.look`."""
        nats, right = self._values(module, batch)
        return nats.gather(1, batch.columns), right.gather(1, batch.columns)

    def logits(self, module: nn.Module, batch: Batch, emitted: Tensor) -> Tensor:
        """As `Learner.logits`: of the data's tokens, among all that the model has."""
        layout, ids = self._layout(batch.tokens), torch.empty_like(emitted).scatter(1, batch.columns, emitted)
        found = []
        for part in row_slices(len(ids), 1, self.rows_at_once(batch.tokens)):
            written = layout.write(batch.inputs[part], ids[part], batch.order[part])
            logits = _read(module, written)[:, :, layout.tokens]
            before = (written.at - 1).clamp(max=logits.shape[1] - 1).gather(1, batch.columns[part])
            found.append(logits.gather(1, before[:, :, None].expand(-1, -1, logits.shape[2])))
        return torch.cat(found)

    def continuing(self, module: nn.Module, batch: Batch) -> Callable[[Tensor, int], Tensor]:
        """As `Learner.continuing`; a model that can be told positions remembers what it has read."""
        told = inspect.signature(getattr(module, "get_base_model", lambda: module)().forward).parameters
        if "position_ids" not in told:
            return super().continuing(module, batch)
        parts = list(row_slices(len(batch.rows), 1, self.rows_at_once(batch.tokens)))
        turns = [_Reader(module, self._layout(batch.tokens), _part(batch, part)) for part in parts]

        def logits(emitted: Tensor, place: int) -> Tensor:
            return torch.cat([turn(emitted[part], place) for turn, part in zip(turns, parts, strict=True)])

        return logits

    def exploring(self, shape: Shape, length: int) -> LanguageModel | None:
        """The keys tell the order."""
        return self if self.explores else None

    def check_data(self, schema: Schema) -> None:
        """Refuse what is no text in this tokenizer's tokens, or too long to read; InputError."""
        check_texts(schema, self.splitter)
        alphabet = schema.alphabet
        assert alphabet is not None
        values = torch.arange(len(alphabet.pieces)).numpy()
        layout = Layout(schema, values, self.splitter, torch.device("cpu"))
        known, most = self._sizes()
        largest = max(int(layout.tokens.max()), int(layout.cells.max()))
        if largest >= known:
            raise InputError(f"tokenizer: it has a token {largest}, and the model {known} of them")
        if most is not None and layout.longest > most:
            raise InputError(
                f"model: it reads {most} tokens at most, and the longest record may have {layout.longest}; leave "
                "long records out by Dataset.from_records(max_width=...)"
            )

    def describe(self, data: Dataset) -> str:
        """Say in a sentence what training on data takes: parameters, memory, tokens of a record, rows at once.

        Memory is an estimate, of one model in float32 with its gradients and AdamW's moments, and of activations.
        """
        self.check_data(data.schema)
        cpu = torch.device("cpu")
        tokens = Tokens.of(data, "data", cpu)
        with RandomStream(0, cpu).lent():
            module = self.build(tokens.shape)
        sizes = [(one.numel(), one.requires_grad) for one in module.parameters()]
        count, trained = sum(size for size, _ in sizes), sum(size for size, learns in sizes if learns)
        longest = self._layout(tokens).longest
        cpu_rows, gpu_rows = (self._rows_at_once(longest, torch.device(kind)) for kind in ("cpu", "cuda"))
        return (
            f"{self.name}: {count:,} parameters, {'all' if trained == count else f'{trained:,} of them'} trained, "
            f"some {_size(4 * count + 12 * trained)} a model in training; records of {longest} tokens at most, "
            f"some {_size(self._bytes_a_row(longest))} each; {cpu_rows:,} at once on a CPU, {gpu_rows:,} on a GPU"
        )

    def _values(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """Nats (B, C) by canonical column, and whether the model's likeliest token is the right one."""
        at_once = self.rows_at_once(batch.tokens)
        found = [
            self._values_of_part(module, _part(batch, part)) for part in row_slices(len(batch.rows), 1, at_once)
        ]
        return torch.cat([nats for nats, _ in found]), torch.cat([right for _, right in found])

    def _values_of_part(self, module: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        targets = batch.targets
        written = self._layout(batch.tokens).write(batch.inputs, batch.tokens.filled(targets), batch.order)
        counted = targets != IGNORED
        rows = torch.arange(len(targets), device=targets.device)[:, None].expand_as(targets)[counted]
        at = written.at[counted]  # (P,)
        logits = _read(module, written)[rows, at - 1]
        wanted = written.tokens[rows, at]
        nats = F.cross_entropy(logits.float(), wanted, reduction="none")
        right = torch.ones_like(counted).masked_scatter(counted, logits.argmax(-1) == wanted)
        return torch.zeros_like(targets, dtype=nats.dtype).masked_scatter(counted, nats), right

    def _layout(self, tokens: Tokens) -> Layout:
        if tokens not in self._layouts:
            self._layouts[tokens] = Layout(tokens.schema, tokens.values, self.splitter, tokens.device)
        return self._layouts[tokens]

    def _text_config(self) -> Any:
        config = self.config if self.model is None else self.model.config
        return config.get_text_config()

    def _sizes(self) -> tuple[int, int | None]:
        """How many tokens the model has, and how many it reads at most, where that is known."""
        config = self._text_config()
        return int(config.vocab_size), getattr(config, "max_position_embeddings", None)

    def _bytes_a_row(self, tokens: int) -> int:
        config = self._text_config()
        units = NUMBERS_A_UNIT * config.num_hidden_layers * config.hidden_size
        return int(4 * tokens * (units + NUMBERS_A_LOGIT * config.vocab_size))

    def _rows_at_once(self, tokens: int, device: torch.device) -> int:
        return max(1, BYTES_AT_ONCE[device.type] // self._bytes_a_row(tokens))


def _read(module: nn.Module, written: Written) -> Tensor:
    """Logits (B, T - 1, all tokens) behind each token but the last."""
    # Padding stands behind a row, so places are counted right without being told.
    logits: Tensor = module(
        input_ids=written.tokens[:, :-1], attention_mask=written.shown[:, :-1].long(), use_cache=False
    ).logits
    return logits


class _Reader:
    """Reads what is written since the last call, row by row, and remembers the keys and values of all before."""

    def __init__(self, module: nn.Module, layout: Layout, batch: Batch) -> None:
        self.module, self.layout, self.batch = module, layout, batch
        self.order = batch.order
        rows, device = len(batch.rows), batch.rows.device
        self.read = torch.zeros(rows, dtype=torch.long, device=device)
        self.shown = torch.zeros(rows, 0, dtype=torch.long, device=device)
        self.memory: Any = None

    def __call__(self, emitted: Tensor, place: int) -> Tensor:
        """Logits (B, V) of a place, given what was emitted (B, C) before it."""
        written = self.write(emitted)
        until = written.at.gather(1, self.batch.columns)[:, place]
        # What ended before has no token at this place, and nothing new.
        until = torch.where(until < written.shown.sum(1), until, self.read)
        new = until - self.read
        width = max(1, int(new.max()))
        where = self.read[:, None] + torch.arange(width, device=new.device)
        valid = where < until[:, None]
        self.shown = torch.cat([self.shown, valid.long()], 1)
        found = self.module(
            input_ids=written.tokens.gather(1, where.clamp(max=written.tokens.shape[1] - 1)),
            attention_mask=self.shown,
            position_ids=where.masked_fill(~valid, 0),
            past_key_values=self.memory,
            use_cache=True,
        )
        self.memory, self.read = found.past_key_values, until
        last = (new - 1).clamp(min=0)
        logits: Tensor = found.logits[torch.arange(len(last), device=last.device), last]
        return logits[:, self.layout.tokens]

    def write(self, emitted: Tensor) -> Written:
        """The records so far; what was not emitted yet is as if it had ended."""
        columns = self.batch.columns
        ids = emitted.masked_fill(emitted == IGNORED, self.layout.end)
        return self.layout.write(self.batch.inputs, torch.empty_like(ids).scatter(1, columns, ids), self.order)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _part(batch: Batch, part: slice) -> Batch:
    return Batch(batch.tokens, batch.rows[part], batch.columns[part], batch.inputs[part])


def _imported(name: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ImportError(f'model: {name} is needed: pip install "pyorder[{extra}]"') from None


def _load(folder: Path, transformers: Any) -> Any:
    """The causal language model that a folder holds."""
    if not folder.is_dir():
        raise InputError(f"model: expected a folder that holds a causal language model, got {str(folder)!r}")
    try:
        with _without_bars(transformers), RandomStream(0, torch.device("cpu")).lent():
            return transformers.AutoModelForCausalLM.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # whatever it raises for what lies there
        raise InputError(f"model: {str(folder)!r} holds none: {' '.join(str(error).split())[:200]}") from None


@contextmanager
def _without_bars(transformers: Any) -> Iterator[None]:
    """Load without the bars of transformers, which are as they were at the end."""
    shown = transformers.utils.logging
    if not shown.is_progress_bar_enabled():
        yield
        return
    shown.disable_progress_bar()
    try:
        yield
    finally:
        shown.enable_progress_bar()


def _with_adapters(model: Any, rank: int) -> nn.Module:
    peft = _imported("peft", "lora")
    config = peft.LoraConfig(r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM")
    with warnings.catch_warnings():  # it warns of what it then does right
        warnings.simplefilter("ignore")
        adapted: nn.Module = peft.get_peft_model(model, config)
    return adapted
