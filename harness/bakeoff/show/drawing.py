"""What all charts share: the palette, a bare figure, safe text, and SVG for a file or for a page.

Only matplotlib's object-oriented API is used, so nothing global changes. Each colour has a role; the page swaps the
roles' colours for CSS variables, so that one drawing serves light and dark.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text

from bakeoff.show.numbers import clean

CHOICE, OTHER, MISS, INK, MUTED = "#0b62a8", "#75808c", "#b8420f", "#1b1f25", "#5a6470"
LINE, PAPER, GUTTER, BEYOND = "#dfe3e8", "#fefefe", "#f4f5f7", "#fbf1ec"
ROLES = {
    CHOICE: "choice",
    OTHER: "other",
    MISS: "miss",
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    PAPER: "paper",
    GUTTER: "gutter",
    BEYOND: "beyond",
}
"""Colour -> role. They stay apart for colour-blind readers, and shapes tell the same story without colour."""

FONT, SMALL = 9.0, 8.0
_STYLE: Any = {"svg.hashsalt": "bakeoff", "font.family": "DejaVu Sans", "font.size": FONT, "hatch.linewidth": 0.7}
_PNG_DPI = 200
HOLLOW: Any = {"linestyle": "none", "markerfacecolor": PAPER, "markeredgecolor": INK}
"""A mark that stands out on any colour."""


@contextmanager
def quiet_style(**settings: Any) -> Iterator[None]:
    """Our settings for the time of a drawing; a name in a script that the font lacks is no reason to complain."""
    with mpl.rc_context(_STYLE | settings), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def blank(size: tuple[float, float]) -> Figure:
    """An empty figure of `size` in inches on an Agg canvas."""
    with quiet_style():
        figure = Figure(figsize=size, facecolor=PAPER)
        FigureCanvasAgg(figure)
        return figure


def axes(figure: Figure, place: tuple[float, float, float, float]) -> Axes:
    """Axes at `place` (left, bottom, width, height as fractions) with a quiet frame and light grid lines."""
    with quiet_style():
        made = figure.add_axes(place)
    made.set_facecolor(PAPER)
    made.set_axisbelow(True)
    for side, spine in made.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(LINE)
    made.grid(True, color=LINE, linewidth=0.6)
    made.tick_params(length=0, colors=MUTED, labelsize=SMALL, pad=4)
    return made


def write(on: Axes, x: float, y: float, text: object, **style: Any) -> Text:
    """Text at a place, never read as TeX: names come from users and engines."""
    options = {"fontsize": FONT, "color": INK, "parse_math": False, **style}
    with quiet_style():
        return on.text(x, y, clean(text), **options)


def text_size(text: Text) -> tuple[float, float]:
    """Width and height of a text in pixels."""
    with quiet_style():
        extent = text.get_window_extent()
    return extent.width, extent.height


def swatch(name: str, colour: str, hatch: str | None = None) -> Patch:
    """A patch of colour for a legend."""
    return Patch(facecolor=colour, edgecolor=PAPER if hatch else LINE, linewidth=0.5, hatch=hatch, label=name)


def mark(name: str, marker: str, size: float) -> Line2D:
    """A hollow mark for a legend."""
    return Line2D([], [], marker=marker, markersize=size, label=name, **HOLLOW)


def legend(figure: Figure, handles: Sequence[Patch | Line2D], columns: int) -> None:
    """Names for colours and marks at the bottom, read along the columns; no name is read as TeX."""
    with quiet_style():
        made = figure.legend(
            handles=handles, loc="lower left", ncols=columns, frameon=False, fontsize=SMALL, labelcolor=INK,
            handlelength=1.3, handleheight=0.9, labelspacing=0.35, columnspacing=1.6, borderaxespad=0.4,
        )  # fmt: skip
    for text in made.get_texts():
        text.set_parse_math(False)


def write_png(figure: Figure, path: Path) -> None:
    """A picture for slides and issues, the same bytes for the same figures."""
    with quiet_style():
        figure.savefig(path, format="png", dpi=_PNG_DPI, metadata={"Software": None})


def write_svg(figure: Figure, path: Path) -> None:
    """An SVG that looks the same everywhere: its text is drawn as paths."""
    path.write_text(_svg(figure, "path"), encoding="utf-8")


def write_both(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """The same figure as PNG and as SVG; gives the paths."""
    png, svg = (stem.parent / f"{stem.name}.{kind}" for kind in ("png", "svg"))
    write_png(figure, png)
    write_svg(figure, svg)
    return png, svg


def page_svg(figure: Figure, salt: str, label: str) -> str:
    """An SVG to put into a page: text stays text in the page's font, colours are CSS variables.

    `label` is what a reader is told who cannot see it; `salt` keeps the ids of one chart apart from those of the next.
    """
    drawn = _svg(figure, "none", salt)
    drawn = drawn[drawn.index("<svg") :]
    drawn = re.sub(r"<metadata>.*?</metadata>|<style[^>]*>.*?</style>", "", drawn, flags=re.DOTALL)
    drawn = re.sub(r'<g id="[^"]*"', "<g", drawn)
    drawn = re.sub(r"font-family: [^;\"]*;?|(?<=font: )([\d.]+px) [^;\"]*", r"\1", drawn)
    for colour, role in ROLES.items():
        drawn = re.sub(colour, f"var(--{role})", drawn, flags=re.IGNORECASE)
    box = re.search(r'viewBox="[^"]*"', drawn)
    head = f'<svg {box.group() if box else ""} role="img" aria-label="{_attribute(label)}"'
    return re.sub(r"^<svg[^>]*", lambda _: head, drawn)


def _svg(figure: Figure, text_as: str, salt: str = "bakeoff") -> str:
    buffer = io.StringIO()
    with quiet_style(**{"svg.fonttype": text_as, "svg.hashsalt": salt}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def _attribute(text: str) -> str:
    return clean(text).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
