"""`sweepyard.config`: what the run was given. Merging and locking as W&B does it (wandb-sweeps.md, section 7)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sweepyard.errors import UserError


class Config(Mapping[str, Any]):
    """The values of a run, by item (`config["lr"]`) and by attribute (`config.lr`).

    The sweep's parameters are merged over what `init(config=...)` gave, nested groups key by key, and each of
    their top-level keys is locked: changing one is ignored, with a warning. Any other key may be added; changing
    an existing one needs `allow_val_change=True`, in `update` or in `init`.
    """

    _values: dict[str, Any]
    _locked: frozenset[str]
    _sweep_id: str | None
    _allow_val_change: bool
    _changed: Callable[[dict[str, Any]], None]
    _warn: Callable[[str], None]
    _warned: set[str]

    def __init__(
        self,
        given: Mapping[str, Any],
        params: Mapping[str, Any],
        *,
        sweep_id: str | None,
        changed: Callable[[dict[str, Any]], None],
        warn: Callable[[str], None],
        allow_val_change: bool = False,
    ) -> None:
        """`changed` hears what the user's code adds, `warn` a sentence for the user."""
        own = {_tidy(key): value for key, value in given.items()}
        self.__dict__.update(
            _values=merge(own, params),
            _locked=frozenset(params),
            _sweep_id=sweep_id,
            _allow_val_change=allow_val_change,
            _changed=changed,
            _warn=warn,
            _warned=set(),
        )
        added = {k: v for k, v in self._values.items() if k not in params or not _same(v, params[k])}
        if added:
            changed(added)

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __getattr__(self, key: str) -> Any:
        values = self.__dict__.get("_values", {})
        if key in values:
            return values[key]
        raise AttributeError(f"config has no '{key}'; it has: {', '.join(values) or 'nothing'}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __setattr__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def as_dict(self) -> dict[str, Any]:
        """A copy that may be changed freely."""
        return copy.deepcopy(self._values)

    def update(self, values: Any, allow_val_change: bool | None = None) -> None:
        """Set several values at once (a dict, or an object with attributes such as argparse's Namespace).

        Raises:
            UserError: a key that is not the sweep's has another value already, and changes are not allowed.
        """
        fresh = {_tidy(key): value for key, value in as_mapping(values).items()}
        kept = {key for key in fresh if self._is_kept(key, fresh[key])}
        fresh = {key: value for key, value in fresh.items() if key not in kept}
        if not (self._allow_val_change if allow_val_change is None else allow_val_change):
            self._refuse_changes(fresh)
        if fresh:
            self._values.update(fresh)
            self._changed(fresh)

    def setdefaults(self, values: Any) -> None:
        """Set only keys that are not there yet."""
        self.update({k: v for k, v in as_mapping(values).items() if _tidy(k) not in self._values})

    def _is_kept(self, key: str, value: Any) -> bool:
        if key not in self._locked:
            return False
        if key not in self._warned and not _same(self._values[key], value):
            self._warned.add(key)
            self._warn(
                f"config '{key}' stays {self._values[key]!r}: sweep {self._sweep_id} chose it, "
                f"so setting it to {value!r} is ignored."
            )
        return True

    def _refuse_changes(self, fresh: Mapping[str, Any]) -> None:
        for key, value in fresh.items():
            if key in self._values and not _same(self._values[key], value):
                raise UserError(
                    f"config '{key}' is {self._values[key]!r} already and would become {value!r}. "
                    "If that is meant: config.update({...}, allow_val_change=True)."
                )


def merge(under: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """`over` laid over `under`; where both hold a group, their keys are merged likewise."""
    merged = dict(under)
    for key, value in over.items():
        below = merged.get(key)
        both = isinstance(below, Mapping) and isinstance(value, Mapping)
        merged[key] = merge(below, value) if both else value  # type: ignore[arg-type]
    return merged


def as_mapping(values: Any) -> Mapping[str, Any]:
    """A dict, or the attributes of a Namespace or similar object.

    Raises:
        UserError: it is neither.
    """
    if values is None:
        return {}
    if isinstance(values, Mapping):
        return values
    try:
        attributes: dict[str, Any] = vars(values)
    except TypeError:
        raise UserError(
            f"config takes a dict or an argparse Namespace; got {type(values).__name__} {values!r}."
        ) from None
    return attributes


def _tidy(key: Any) -> str:
    return str(key).strip("-")


def _same(a: Any, b: Any) -> bool:
    """Equal, for values whose `==` may answer with an array."""
    try:
        return a is b or bool(a == b)
    except ValueError:
        return False
