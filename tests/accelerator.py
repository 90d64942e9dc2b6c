"""A device that is not there: what a GPU would refuse is refused, where none is.

Its tensors are the CPU's, behind a wrapper that says where they are. What mixes them with tensors or generators of the
CPU fails, as on CUDA; under autocast, operations take the types that they take on CUDA; whenever the device must be
waited for, it is counted. It must be made before the first backward pass of a process.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import backend_registration as registration
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

NAME = "pretended"
CPU = torch.device("cpu")
COPIES = {"aten::copy_", "aten::_to_copy"}  # from one device to another
INDEXED = {"aten::index", "aten::index_put", "aten::index_put_", "aten::_index_put_impl_"}  # by the CPU's numbers, too
ASKS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::is_nonzero", "aten::equal"}
PLAIN_GENERATOR, PLAIN_TENSOR = torch.Generator, torch.tensor


class Module(registration._DummyBackendModule):  # type: ignore[misc]
    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]


registration._setup_privateuseone_for_python_backend(NAME, Module())  # type: ignore[no-untyped-call]
DEVICE = torch.device(NAME, 0)
waits: Counter[str] = Counter()  # for the device, by what was asked of it
_generators: dict[int, torch.Generator] = {}  # those of the device; kept, so that none is taken for another


def is_there(device: Any) -> bool:
    return torch.device(device).type == NAME


class Generator(torch.Generator):
    def __new__(cls, device: Any = CPU) -> Generator:
        made = super().__new__(cls)
        if is_there(device):
            _generators[made._cdata] = made
        return made

    def __init__(self, device: Any = CPU) -> None:
        pass

    @property
    def device(self) -> torch.device:
        return DEVICE if self._cdata in _generators else CPU


def tensor(data: Any, *, device: Any = None, **form: Any) -> Tensor:
    there = device is not None and is_there(device)
    return PLAIN_TENSOR(data, **form).to(DEVICE) if there else PLAIN_TENSOR(data, device=device, **form)


class OnDevice(Tensor):
    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> OnDevice:
        form = {name: getattr(held, name) for name in ("dtype", "layout", "requires_grad")}
        where = {"strides": held.stride(), "storage_offset": held.storage_offset(), "device": DEVICE}
        made: OnDevice = Tensor._make_wrapper_subclass(cls, held.size(), **form, **where)  # type: ignore[attr-defined]
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _done(func, args, kwargs or {})

    def tolist(self) -> Any:
        waits["tolist"] += 1
        return self.held.tolist()

    def new_tensor(self, data: Any, **form: Any) -> Tensor:
        return PLAIN_TENSOR(data, **{"dtype": self.dtype, **form}).to(DEVICE)


class Pretended(TorchDispatchMode):
    """Inside, the device can be used."""

    def __enter__(self) -> Pretended:
        torch.Generator, torch.tensor = Generator, tensor  # type: ignore[misc]
        super().__enter__()
        return self

    def __exit__(self, *how: Any) -> None:
        super().__exit__(*how)
        torch.Generator, torch.tensor = PLAIN_GENERATOR, PLAIN_TENSOR  # type: ignore[misc]

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        to = (kwargs or {}).get("device")
        concerned = any(isinstance(x, OnDevice | PLAIN_GENERATOR) for x in tree_leaves((args, kwargs)))
        if concerned or (to is not None and is_there(to)):
            return _done(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))


def _done(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    name, leaves = func._schema.name, tree_leaves((args, kwargs))
    there = [x for x in leaves if isinstance(x, OnDevice)]
    elsewhere = [x for x in leaves if isinstance(x, Tensor) and not isinstance(x, OnDevice)]
    if name in INDEXED:
        refused = not isinstance(args[0], OnDevice) and bool(there)
    else:
        refused = name not in COPIES and bool(there) and any(x.dim() for x in elsewhere)
    if refused:
        raise RuntimeError(f"{func}: tensors of two devices, of the CPU {[tuple(x.shape) for x in elsewhere]}")
    to = kwargs.get("device")
    on = isinstance(args[0], OnDevice) if name == "aten::copy_" else is_there(to) if to is not None else bool(there)
    if any(isinstance(x, PLAIN_GENERATOR) and (x._cdata in _generators) != on for x in leaves):
        raise RuntimeError(f"{func}: a generator of another device")
    if name in ASKS or (name in COPIES and there and not on):
        waits[name] += 1
    moved = {"pin_memory": False, "non_blocking": False}
    here = {key: moved.get(key, value) for key, value in kwargs.items()}
    plain_args, plain_kwargs = tree_map(_plain, (tuple(args), here))
    found = func(*plain_args, **plain_kwargs)
    if name == "aten::copy_":
        return args[0]
    if not on:
        return found
    if name == "aten::_to_copy" and found is plain_args[0]:
        found = found.clone()
    wrapped = tree_map(lambda x: OnDevice(x) if isinstance(x, Tensor) else x, found)
    return return_and_correct_aliasing(func, args, kwargs, wrapped)


def _plain(x: Any) -> Any:
    return x.held if isinstance(x, OnDevice) else CPU if isinstance(x, torch.device) else x


# --- autocast, by the lists of the installed torch

HEADER = Path(torch.__file__).with_name("include") / "ATen" / "autocast_mode.h"
KEY = "AutocastPrivateUse1"
Type = Callable[[Sequence[Tensor]], torch.dtype | None]


def _widest(tensors: Sequence[Tensor]) -> torch.dtype | None:
    return torch.float32 if any(x.dtype == torch.float32 for x in tensors) else None


TYPES: dict[str, Type] = {
    "LOWER_PRECISION_FP": lambda tensors: torch.bfloat16,
    "FP32": lambda tensors: torch.float32,
    "FP32_SET_OPT_DTYPE": lambda tensors: torch.float32,
    "PROMOTE": _widest,
}
_aten = torch.library.Library("aten", "IMPL")
_others = torch.library.Library("_", "IMPL")


def _listed(name: str) -> list[str]:
    lines = re.search(rf"define AT_FORALL_{name}\(_\)((?:.*\\\n)+.*\n)", HEADER.read_text())
    assert lines is not None
    found = re.findall(r"_\((\w+)(?:, (\w+))?\)", lines[1])
    return [".".join(filter(None, parts)) for parts in found if parts[1] != "deprecated"]


def _cast_for(name: str, type_of: Type) -> None:
    packet, _, overload = name.partition(".")
    operation = getattr(getattr(torch.ops.aten, packet), overload or "default")
    below = torch._C.DispatchKeySet(torch._C.DispatchKey.AutocastPrivateUse1)

    def is_cast(x: Any) -> bool:
        return isinstance(x, Tensor) and is_there(x.device) and x.dtype in (torch.float32, torch.bfloat16)

    def cast(*args: Any, **kwargs: Any) -> Any:
        with torch._C._ExcludeDispatchKeyGuard(below):
            to = type_of([x for x in tree_leaves((args, kwargs)) if is_cast(x)])
            args, kwargs = tree_map(lambda x: x.to(to) if to is not None and is_cast(x) else x, (args, kwargs))
            return operation(*args, **kwargs)

    _aten.impl(name, cast, KEY)


def _unsafe(*args: Any, **kwargs: Any) -> None:
    raise RuntimeError("binary_cross_entropy is unsafe to autocast")


for _name, _type in TYPES.items():
    for _each in _listed(_name):
        _cast_for(_each, _type)
_aten.impl("binary_cross_entropy", _unsafe, KEY)
_others.fallback(torch.library.fallthrough_kernel, KEY)
