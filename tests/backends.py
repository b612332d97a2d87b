"""The backend that oracles and laws are put to: autograd, or what `pytest --backend` says."""

import manifoldnet as mn

# set once, by tests/conftest.py, before anything is collected
CHOSEN = {"backend": "autograd"}


def chosen() -> str:
    return CHOSEN["backend"]


def compiled(net: mn.Network, **options: object) -> mn.Program:
    return mn.compile(net, chosen(), **options)
