from __future__ import annotations

from collections.abc import Callable

import pytest
from conformance.store import StoreConformance
from simulation.memory_store import MemoryStore, Tables


class TestMemoryStore(StoreConformance):
    @pytest.fixture
    def tables(self) -> Tables:
        return Tables()

    @pytest.fixture
    def store(self, tables: Tables) -> MemoryStore:
        return MemoryStore(tables)

    @pytest.fixture
    def again(self, tables: Tables) -> Callable[[], MemoryStore]:
        return lambda: MemoryStore(tables)
