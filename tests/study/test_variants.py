"""The study's trainings are its catalogue of models, each with a seed and a plan of its own."""

from dataclasses import replace

import numpy as np
import torch
from torch import nn

from latent_digits.catalogue import MODELS, SERIES
from latent_digits.data.fingerprint import fingerprint
from latent_digits.models.weights import build
from latent_digits.project.params import load_params
from latent_digits.study.trainings import AutoencoderTraining, HeadTraining, Training
from latent_digits.study.variants import autoencoders, classifiers, denoisers, vaes
from latent_digits.training.hyperparameters import Hyperparameters
from smoke import PROJECT
from studies import dataset

HYPERPARAMETERS = Hyperparameters(5, "adam", 1e-3, 64, 0.1, (2, 4, 6), 7)
DATA = replace(dataset(20, 1), images=np.zeros((20, 12, 12), np.uint8), classes=tuple("abc"))
ENCODER = {"weight": np.arange(3.0)}


def variants() -> dict[str, Training]:
    params = load_params(PROJECT / "params.yaml")
    return (
        autoencoders(HYPERPARAMETERS, params.train_ae, 1, DATA)
        | denoisers(HYPERPARAMETERS, params.train_denoise, params.noise.as_described, 1, DATA)
        | vaes(HYPERPARAMETERS, params.train_vae, 1, DATA)
        | classifiers(HYPERPARAMETERS, ENCODER, params.finetune, 1, DATA)
    )


def test_what_is_trained_is_what_the_catalogue_names() -> None:
    alone = [name for name in variants() if "/" not in name]
    assert sorted(alone) == sorted(MODELS)
    assert {name.partition("/")[0] for name in variants() if "/" in name} == set(SERIES)


def test_a_series_is_its_model_but_for_one_thing() -> None:
    found = variants()
    for z in load_params(PROJECT / "params.yaml").train_ae.latent_dims:
        one, tuned = found[f"latents/{z}"], found["ae"]
        assert one.latent_dim == z
        assert replace(one, latent_dim=tuned.latent_dim, seed=tuned.seed) == tuned
    ways = {
        "pretrained": "classifier",
        "untrained": "classifier_random_encoder",
        "end_to_end": "classifier_end_to_end",
    }
    for count in load_params(PROJECT / "params.yaml").finetune.labels:
        for way, name in ways.items():
            one = vars(found[f"labels/{way}_{count}"])
            assert one == vars(found[name]) | {"labels": count}


def test_what_a_training_says_of_its_model_builds_one() -> None:
    for training in variants().values():
        model = build(training.about)
        outputs = model(torch.zeros(2, 1, 12, 12))
        first = outputs[0] if isinstance(outputs, tuple) else outputs
        classifier = training.about["model"] == "classifier"
        assert first.shape == ((2, 3) if classifier else (2, 1, 12, 12))
        shapes = [
            layer.weight.shape[:2] for layer in model.modules() if isinstance(layer, nn.Conv2d)
        ]
        assert shapes == [(2, 1), (4, 2), (6, 4)]


def test_the_seeds_are_those_of_stage_and_variant_and_the_heads_share_one() -> None:
    found = variants()
    seeds = {name: training.seed for name, training in found.items()}
    heads = [name for name in seeds if name.startswith(("classifier", "labels/"))]
    assert len({seeds[name] for name in heads}) == 1
    assert len(set(seeds.values())) == len(seeds) - len(heads) + 1


def test_the_resume_caches_key_is_all_of_a_training() -> None:
    found = variants()
    keys = {fingerprint(training) for training in found.values()}
    assert len(keys) == len(found)
    ae, head = found["ae"], found["classifier"]
    assert isinstance(ae, AutoencoderTraining)
    assert isinstance(head, HeadTraining)
    others = (
        replace(ae, seed=2),
        replace(ae, recipe=replace(ae.recipe, lr=2e-3)),
        replace(head, encoder_weights={"weight": np.arange(3.0) + 1}),
    )
    assert not keys & {fingerprint(training) for training in others}
    assert {fingerprint(training) for training in variants().values()} == keys


def test_trainings_of_two_classes_with_equal_fields_have_two_keys() -> None:
    class Another(AutoencoderTraining):
        pass

    ae = variants()["ae"]
    assert fingerprint(ae) != fingerprint(Another(**vars(ae)))
