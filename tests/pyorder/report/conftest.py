import html.parser
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pytest

import pyorder
from pyorder.dependencies import Dependency, Exploration, Round
from pyorder.profiling.result import Cost
from pyorder.search import Discovery, Stage

VOID = {"meta", "br", "hr", "img", "link", "input"}


@dataclass
class Read(html.parser.HTMLParser):
    """A page as a browser would read it: elements with their attributes, and the text inside of each kind."""

    tags: list = field(default_factory=list)
    texts: dict = field(default_factory=dict)

    def __post_init__(self):
        super().__init__()
        self.open = []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        for tag in set(self.open):
            self.texts.setdefault(tag, []).append(text)

    def said(self, tag="body"):
        return "".join(self.texts.get(tag, ()))


@pytest.fixture
def read():
    def read(text):
        page = Read()
        page.feed(text)
        page.close()
        assert page.open == []
        return page

    return read


@pytest.fixture
def searched():
    """A search with made-up evidence: a chain along the order, but for every fourth step."""

    def searched(length=5, names=(), verdict="found", candidates=6, runs=1, seeds=1, seed=0, **replaced):
        rng = np.random.default_rng(seed)
        order = rng.permutation(length)
        edges = tuple(
            Dependency(int(a), int(b), 1.0 + slot / length, 0.01, 0.9999, reversible=False)
            for slot, (a, b) in enumerate(pairwise(order))
            if slot % 4 != 3
        )
        benefit = rng.normal(0, 0.05, (length, length))
        for edge in edges:
            benefit[edge.before, edge.after] = edge.benefit
        exploration = Exploration(
            dependencies=edges,
            settled=True,
            memorised=False,
            benefit=benefit,
            standard_error=np.full((length, length), 0.02),
            uniform_loss=np.full(length, 1.0),
            graph_loss=np.full(length, 0.3),
            entropy=np.full(length, 2.0),
            order_gain=(3.0, 0.5),
            gap=(0.1, 0.05),
            training_rows=5000,
            samples=2048,
            by_input=True,
            rounds=tuple(Round(100 * k, 1.0, 0.3, 0.29, len(edges), 0, 0, 10.0 * k) for k in range(1, 9)),
            seconds=80.0,
        )
        stages = []
        for number in range(runs):
            orders = np.array([order, *(rng.permutation(length) for _ in range(candidates - 1))])
            losses = 1.0 + np.arange(candidates) / 10 + rng.uniform(0, 0.01, (seeds, candidates))
            profile = pyorder.Profile(
                orders=orders,
                loss=losses.mean(0),
                step_loss=np.ones((candidates, length)),
                standard_error=np.where(np.arange(candidates), 0.01, 0.0),
                ranking=np.argsort(losses.mean(0)),
                seed_loss=losses,
                training_loss=np.linspace(3, 1, 400, dtype=np.float32)[None].repeat(seeds, 0),
                cost=Cost(400, 64),
                seconds=3.0,
                settings={"model": "nano", "device": "cpu", "seeds": list(range(seeds))},
                step_names=tuple(names),
            )
            stages.append(Stage(f"run {number}", profile, float(number)))
        made = {
            "order": order,
            "verdict": pyorder.Verdict(verdict),
            "converged": True,
            "strategy": "precedence",
            "options": {"error_rate": 0.01},
            "uses_data_order": False,
            "history": tuple(stages),
            "cost": Cost(400, 64),
            "seconds": 90.0,
            "seed": 7,
            "settings": {"model": "nano", "device": "cpu", "data": {}},
            "exploration": exploration,
            "step_names": tuple(names),
        }
        return Discovery(**made | replaced)

    return searched


@pytest.fixture
def saved(searched, tmp_path):
    """Such a search as the folder that a page is made from."""

    def saved(*arguments, **replaced):
        folder = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        searched(*arguments, **replaced).save(folder)
        return pyorder.runs.load_run(folder)

    return saved
