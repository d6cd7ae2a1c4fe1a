"""A picture of the run: memory and file descriptors over time, with the faults behind them."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from soak.faults import Spell
    from soak.watch import Sample

WIDTH, HEIGHT, LEFT, TOP = 1100, 260, 60, 40
PANELS = (
    ("resident memory, MB", lambda sample: sample.rss / 1e6, "#1f5fa8"),
    ("file descriptors", lambda sample: float(sample.descriptors), "#a8421f"),
)


def write(path: Path, samples: Sequence[Sample], spells: Sequence[Spell]) -> None:
    """Write the picture as SVG."""
    path.write_text("\n".join(_picture(samples, spells)) + "\n", "utf-8")


def _picture(samples: Sequence[Sample], spells: Sequence[Spell]) -> Iterator[str]:
    total = TOP + len(PANELS) * (HEIGHT + TOP)
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH + LEFT + 20}" height="{total}" '
        'font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="white"/>'
    )
    last = max(sample.time for sample in samples)
    for number, (title, value, colour) in enumerate(PANELS):
        top = TOP + number * (HEIGHT + TOP)
        most = max(map(value, samples)) * 1.15
        for spell in spells:
            yield from _band(spell, last, top, named=number == 0)
        points = " ".join(
            f"{_x(sample.time, last):.1f},{top + HEIGHT * (1 - value(sample) / most):.1f}"
            for sample in samples
        )
        yield f'<polyline fill="none" stroke="{colour}" stroke-width="1.5" points="{points}"/>'
        yield f'<text x="{LEFT}" y="{top - 6}" fill="{colour}">{title}</text>'
        for part in range(5):
            y = top + HEIGHT * (1 - part / 4)
            yield f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y}" y2="{y}" stroke="#ddd"/>'
            yield f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{most * part / 4:.0f}</text>'
        for part in range(11):
            x = _x(last * part / 10, last)
            yield (
                f'<text x="{x}" y="{top + HEIGHT + 14}" text-anchor="middle">'
                f"{last * part / 10:.0f} s</text>"
            )
    yield "</svg>"


def _band(spell: Spell, last: float, top: int, *, named: bool) -> Iterator[str]:
    x, end = _x(spell.begin, last), _x(spell.end, last)
    yield (
        f'<rect x="{x:.1f}" y="{top}" width="{max(1.0, end - x):.1f}" height="{HEIGHT}" '
        'fill="#f3d9b1" opacity="0.6"/>'
    )
    if named:
        yield (
            f'<text transform="translate({x + 10:.1f},{top + HEIGHT - 4}) rotate(-90)" '
            f'fill="#8a5a10">{escape(spell.name)}</text>'
        )


def _x(time: float, last: float) -> float:
    return LEFT + WIDTH * time / last
