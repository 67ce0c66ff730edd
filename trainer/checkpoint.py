"""Checkpoints: everything a trainer needs to go on exactly, written whole or not at all.

A checkpoint is one safetensors file (no code in it, so it is safe to load): tensors of the nested state under their
path, plain JSON values in the file's metadata. It is renamed into place when it is on disk.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from agora.files import replacing

State = dict[str, Any]
SUFFIX = ".safetensors"


def save_checkpoint(directory: Path, number: int, state: State, keep: int) -> Path:
    """Write checkpoint ``number`` and remove all but the newest ``keep``.

    Args:
        directory: made if missing.
        number: rises from checkpoint to checkpoint.
        state: nested dicts with string keys; values are tensors or JSON values.
        keep: how many stay, >= 1.
    """
    tensors: dict[str, torch.Tensor] = {}
    plain = _split(state, "", tensors)
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{number:09d}{SUFFIX}"
    with replacing(path) as draft:
        _save(tensors, draft, {"plain": json.dumps(plain)})
    for old in sorted(directory.glob(f"*{SUFFIX}"))[:-keep]:
        old.unlink()
    return path


def _save(tensors: dict[str, torch.Tensor], draft: Path, metadata: dict[str, str]) -> None:
    try:
        save_file(tensors, draft, metadata=metadata)
    except SafetensorError as error:
        # It has the number of what went wrong in its text only.
        number = re.search(r"\(os error (\d+)\)", str(error))
        if number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1]))) from error


def next_epoch(directory: Path) -> int:
    """This process's number among all that trained the run: 1, 2, ... It is on disk before it is used."""
    path = directory / "epoch"
    directory.mkdir(parents=True, exist_ok=True)
    epoch = int(path.read_text()) + 1 if path.exists() else 1
    with replacing(path) as draft:
        draft.write_text(str(epoch))
    return epoch


def load_newest(directory: Path) -> State | None:
    """The newest checkpoint's state, or None if there is none."""
    paths = sorted(directory.glob(f"*{SUFFIX}"))
    if not paths:
        return None
    with safe_open(paths[-1], framework="pt") as file:
        plain: State = json.loads(file.metadata()["plain"])
        for name in file.keys():  # noqa: SIM118  # not a mapping
            _put(plain, name.split("/"), file.get_tensor(name))
    return plain


def _split(state: State, prefix: str, tensors: dict[str, torch.Tensor]) -> State:
    plain: State = {}
    for key, value in state.items():
        if "/" in key:
            raise ValueError(f"checkpoint key {prefix + key!r}: expected no '/'")
        if isinstance(value, torch.Tensor):
            tensors[prefix + key] = value.detach().contiguous()
        elif isinstance(value, dict):
            plain[key] = _split(value, f"{prefix}{key}/", tensors)
        else:
            plain[key] = value
    return plain


def _put(state: State, path: list[str], value: torch.Tensor) -> None:
    for key in path[:-1]:
        state = state.setdefault(key, {})
    state[path[-1]] = value
