"""A call in a process of its own gives its result, fails as one would, and ends with its block."""

import os
import time

import pytest
import torch

from latent_digits.evaluation.beside import beside


def test_it_gives_the_result_of_a_process_of_one_thread() -> None:
    with beside(torch.get_num_threads) as threads, beside(os.getpid) as process:
        assert threads() == 1
        assert process() != os.getpid()


def test_its_threads_wait_without_a_core_and_no_others_do() -> None:
    with beside(os.getenv, "OMP_WAIT_POLICY") as policy:
        assert policy() == "PASSIVE"
    assert os.getenv("OMP_WAIT_POLICY") is None


def test_a_call_that_fails_is_no_endless_wait(capfd: pytest.CaptureFixture[str]) -> None:
    with beside(int, "x") as number, pytest.raises(RuntimeError, match="computed int ended early"):
        number()
    assert "invalid literal for int()" in capfd.readouterr().err


def test_the_end_of_the_block_is_that_of_the_call() -> None:
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), beside(time.sleep, 60):
        raise KeyboardInterrupt
    assert time.monotonic() - began < 30
