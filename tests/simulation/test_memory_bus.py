from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from conformance.bus import BusConformance
from simulation.memory_bus import Broker, MemoryAgentBus, MemoryControllerBus


class TestMemoryBus(BusConformance):
    @pytest.fixture(autouse=True)
    def broker(self) -> Broker:
        self._broker = Broker()
        return self._broker

    @pytest.fixture
    def agent(self, broker: Broker) -> MemoryAgentBus:
        return MemoryAgentBus(broker, "a1", 1)

    @pytest.fixture
    def controller(self, broker: Broker) -> MemoryControllerBus:
        return MemoryControllerBus(broker, 1)

    def younger(self) -> MemoryControllerBus:
        return MemoryControllerBus(self._broker, 2)

    def flush(self) -> None:
        self._broker.flush()

    def remember(self) -> Callable[[], object]:
        return partial(self._broker.restore, self._broker.snapshot())
