"""What operators see of a running server: its metrics, its memory."""

import json
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from rookery.wiring import SERVER_FILE


class Operator:
    """Asks the server that runs on a data folder."""

    def __init__(self, folder: Path) -> None:
        known: dict[str, Any] = json.loads((folder / SERVER_FILE).read_text())
        self.pid: int = known["pid"]
        self._url = f"http://{known['metrics']}"

    async def figures(self, name: str) -> dict[str, float]:
        """The values of a metric with one label, by the label's values."""
        async with httpx.AsyncClient(base_url=self._url, timeout=20) as client:
            answer = await client.get("/metrics")
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(answer.text):
            for sample in family.samples:
                if sample.name in (name, f"{name}_total"):
                    found[next(iter(sample.labels.values()))] = sample.value
        return found

    async def ready(self) -> bool:
        """Whether the server says that it can do its work."""
        async with httpx.AsyncClient(base_url=self._url, timeout=20) as client:
            return (await client.get("/readyz")).status_code == 200

    def memory(self) -> int:
        """Bytes of memory that the server takes."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("the server is gone")
