"""What a training step of every model calls, held against the allow list."""

from pathlib import Path

import pytest
import torch

from gradproof.models.configuration import make_configuration
from gradproof.models.runs import make_task
from tests.models.operators import ALLOWED, record
from tests.models.test_against_autograd import CASES, SIZES, make_plain, write_data


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("case", CASES)
def test_a_training_step_calls_elementary_operators_alone(
    case: str, dtype: torch.dtype, tmp_path: Path
) -> None:
    name, options = CASES[case]
    given = {**SIZES, **options, **write_data(name, tmp_path), "dropout": 0.2}
    task = make_task(make_configuration(name, {}, given))
    batch = task.batch(0)

    def step() -> None:
        with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
            loss = task.loss(task.model, batch, ()).mean
        loss.backward()

    assert record(step) <= ALLOWED


def test_the_same_in_plain_pytorch_calls_others(tmp_path: Path) -> None:
    """The list would notice."""
    task = make_task(make_configuration("char-lm", {}, {**SIZES, **write_data("char-lm", tmp_path)}))
    task.model = make_plain(task)
    assert record(lambda: task.loss(task.model, task.batch(0), ()).mean.backward()) - ALLOWED
