"""When a batch closes. Pure: the clock is passed in.

A batch closes when it holds enough messages or characters, or when its oldest message has waited
long enough. With no wait configured a lone message leaves at once, and batches form by
themselves from what arrives while the model is busy.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass
class Batcher(Generic[T]):
    """Items in order of arrival, each with its length in characters."""

    max_messages: int
    max_chars: int
    max_wait_ms: int
    _items: deque[tuple[T, int, float]] = field(default_factory=deque)
    _chars: int = 0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: T, chars: int, now_s: float) -> None:
        """Takes an item in."""
        self._items.append((item, chars, now_s))
        self._chars += chars

    def due_in_s(self, now_s: float) -> float | None:
        """Seconds until the next batch closes, 0 when one is due, None when nothing waits."""
        if not self._items:
            return None
        if len(self._items) >= self.max_messages or self._chars >= self.max_chars:
            return 0.0
        waited_s = now_s - self._items[0][2]
        return max(0.0, self.max_wait_ms / 1000 - waited_s)

    def take(self) -> list[T]:
        """Takes the next batch out: at least one item, then as many as the limits let in."""
        batch: list[T] = []
        taken_chars = 0
        while self._items and len(batch) < self.max_messages:
            item, chars, _ = self._items[0]
            if batch and taken_chars + chars > self.max_chars:
                break
            self._items.popleft()
            batch.append(item)
            taken_chars += chars
        self._chars -= taken_chars
        return batch
