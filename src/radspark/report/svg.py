"""A matplotlib drawing as SVG for the inside of a page: its colors and font are the page's, its bytes repeatable."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable

from markupsafe import Markup
from matplotlib import style
from matplotlib.figure import Figure

INK, MUTED, RULE, ACCENT, SECOND = "#010101", "#020202", "#030303", "#040404", "#050505"
"""Stand-ins to draw with; each becomes a custom property of the page's style, which knows light, dark and print."""

_PROPERTIES = {INK: "--ink", MUTED: "--muted", RULE: "--rule", ACCENT: "--accent", SECOND: "--second"}
_UNWANTED = re.compile(r'<defs>\s*<style type="text/css">.*?</style>\s*</defs>|(?<=<g) id="[^"]*"', re.DOTALL)
_FONT = re.compile(r"font: ([\d.]+px) [^;\"]*")
_POINTS_PER_INCH = 72


def render_svg(draw: Callable[[Figure], None], *, width: float, height: float, name: str, description: str) -> Markup:
    """Draw on a fresh figure and return one `<svg>` element that fills the width it is given.

    Args:
        draw: puts axes on the figure, in the stand-in colors.
        width: in points, which are the page's pixels where the drawing is shown at its own size.
        height: in points.
        name: unique in the page; keeps the ids of drawings apart.
        description: what a screen reader says.
    """
    # Matplotlib takes these from its process-wide table only; the context puts the table back.
    settings = {"svg.hashsalt": name, "svg.fonttype": "none", "text.parse_math": False}
    with style.context(["default", settings]):
        figure = Figure(figsize=(width / _POINTS_PER_INCH, height / _POINTS_PER_INCH))
        figure.patch.set_visible(False)
        draw(figure)
        buffer = io.StringIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(buffer, format="svg", metadata=nothing)
    drawing = buffer.getvalue()
    body = _UNWANTED.sub("", drawing[drawing.index(">", drawing.index("<svg")) + 1 :])
    body = _FONT.sub(r"font-size: \1; font-family: inherit", body)
    body = body.replace("xlink:href", "href")
    for stand_in, custom_property in _PROPERTIES.items():
        body = body.replace(stand_in, f"var({custom_property})")
    body = re.sub(r">\s+<", "><", body).strip()
    opening = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{html.escape(description)}">'
    return Markup(opening + body)  # noqa: S704
