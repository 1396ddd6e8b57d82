"""The four charts of `attention.py`; README.md says how to read them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import plotting
from attention_cells import DTYPES, PADDING_LENGTH
from attention_report import OURS, Ceilings

Row = dict[str, Any]


def draw(rows: list[Row], ceilings: Ceilings, title: str, folder: Path) -> None:
    """Write them to a folder. Raises ImportError without matplotlib."""
    charts = Charts(rows, title)
    for name, figure in (
        ("speed", charts.speed()),
        ("memory", charts.memory()),
        ("padding", charts.padding()),
        ("roofline", charts.roofline(ceilings)),
    ):
        plotting.save(figure, folder / f"attention_{name}.png")


def not_padded(row: Row) -> bool:
    return row["filling"] == "full"


class Charts:
    """Figures of the results of the first dtype and number of heads, a panel for each work."""

    def __init__(self, rows: list[Row], title: str) -> None:
        done = [row for row in rows if row["status"] == "ok"]
        self.dtype, heads = done[0]["dtype"], done[0]["heads"]
        self.title = f"{title}, {self.dtype}"
        self.rows = [row for row in done if (row["dtype"], row["heads"]) == (self.dtype, heads)]
        self.works = list(dict.fromkeys((row["work"], row["direction"]) for row in self.rows))
        self.names = list(dict.fromkeys(row["contender"] for row in self.rows))

    def speed(self) -> Any:
        """Useful work a second against the length."""
        figure, panels = self._panels(
            "Speed against length, nothing padded", "TFLOP/s (higher is better)"
        )
        for panel, work in zip(panels, self.works, strict=True):
            self._lines(panel, work, "length", "tflops", not_padded)
            panel.set_xscale("log", base=2)
            panel.set_xlabel("tokens of a row, T")
            panel.set_ylim(bottom=0)
        return self._with_legend(figure, panels)

    def memory(self) -> Any:
        """Peak memory against the length."""
        figure, panels = self._panels(
            "Memory against length, nothing padded", "peak memory, MB (lower is better)"
        )
        for panel, work in zip(panels, self.works, strict=True):
            self._lines(panel, work, "length", "peak_mb", not_padded)
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            panel.set_xlabel("tokens of a row, T")
        return self._with_legend(figure, panels)

    def padding(self) -> Any:
        """Real tokens a second against the share of padding."""
        figure, panels = self._panels(
            f"Speed against padding, rows of {PADDING_LENGTH} slots", "real tokens a second"
        )

        def chosen(row: Row) -> bool:
            return row["length"] == PADDING_LENGTH and row["filling"] != "masked"

        for panel, work in zip(panels, self.works, strict=True):
            self._lines(panel, work, "padding", "real_tokens_per_s", chosen)
            panel.set_xlabel("share of padding")
            panel.set_ylim(bottom=0)
        return self._with_legend(figure, panels)

    def roofline(self, ceilings: Ceilings) -> Any:
        """Where each contender is, below what the device allows."""
        figure, panels = self._panels("Roofline: each point is a length, nothing padded", "TFLOP/s")
        peak = ceilings.flops[DTYPES[self.dtype]]
        ridge = peak / ceilings.bytes  # FLOP a byte at which memory stops to be the limit
        edges = [*sorted({min(8.0, ridge / 4), ridge}), max(4096.0, ridge * 4)]
        heights = [min(peak, edge * ceilings.bytes) / 1e12 for edge in edges]
        for panel, work in zip(panels, self.works, strict=True):
            self._lines(panel, work, "flops_per_byte", "tflops", not_padded)
            panel.plot(edges, heights, "k--", linewidth=1, label="measured ceiling")
            panel.set_xscale("log", base=2)
            panel.set_yscale("log")
            panel.set_xlabel("FLOP a byte that must be moved")
        return self._with_legend(figure, panels)

    def _panels(self, what: str, y_label: str) -> tuple[Any, list[Any]]:
        number = len(self.works)
        figure, panels = plotting.new_figure(number, size=(5.2 * number, 4.2))
        figure.suptitle(f"{what}\n{self.title}", fontsize=10)
        for panel, (work, direction) in zip(panels, self.works, strict=True):
            direction = {"both": "forward and backward"}.get(direction, direction)
            panel.set_title(f"{work}, {direction}", fontsize=10)
            panel.set_ylabel(y_label)
            panel.grid(alpha=0.3)
        return figure, panels

    def _lines(
        self, panel: Any, work: tuple[str, str], x: str, y: str, chosen: Callable[[Row], bool]
    ) -> None:
        """A line for each contender, in the same style in every chart."""
        for i, name in enumerate(self.names):
            points = sorted(
                (row[x], row[y])
                for row in self.rows
                if (row["work"], row["direction"]) == work and row["contender"] == name
                if chosen(row)
            )
            if points:
                panel.plot(
                    *zip(*points, strict=True),
                    color=f"C{i % 10}",
                    linestyle="-" if i < 10 else "--",
                    linewidth=2.5 if name in OURS else 1.2,
                    marker="o" if name in OURS else ".",
                    label=name,
                )

    def _with_legend(self, figure: Any, panels: list[Any]) -> Any:
        handles: dict[str, Any] = {}
        for panel in panels:
            handles |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
        figure.legend(
            handles.values(), handles.keys(), loc="outside lower center", ncols=4, fontsize=8
        )
        return figure
