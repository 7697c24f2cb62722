"""Draw the result as an SVG picture: one bar per file, grouped by network."""

from __future__ import annotations

from html import escape

# Colours differ in lightness as well as in hue; bars of plain files are pale.
_COLOURS = {"float32": "#0072b2", "float16": "#56b4e9", "dynamic": "#e69f00", "int8": "#d55e00"}
_PALE = 0.45
_LEFT, _RIGHT, _TOP, _BOTTOM = 150, 70, 44, 34
_WIDTH = 560  # of the longest bar
_BAR, _GAP, _GROUP_GAP = 11, 2, 14
_STYLE = "<style>.peers{color:#22303c}@media(prefers-color-scheme:dark){.peers{color:#dbe4ec}}</style>"


def draw_bars(result: dict) -> str:
    """Return a self-contained picture of the median times in milliseconds."""
    files = result["files"]
    scale = _WIDTH / max(file["median_ms"] for file in files)
    parts, y = [], _TOP
    for network in dict.fromkeys(file["network"] for file in files):
        own = [file for file in files if file["network"] == network]
        height = len(own) * (_BAR + _GAP)
        parts.append(_text(_LEFT - 8, y + height / 2 + 4, network, anchor="end", size=12))
        for file in own:
            parts.append(_bar(file, y=y, scale=scale))
            y += _BAR + _GAP
        y += _GROUP_GAP
    title = f"Milliseconds an image, threads {result['threads']}, median of {result['rounds']} interleaved rounds"
    parts.append(_text(_LEFT, 16, title, size=12))
    parts.append(_legend([form for form in _COLOURS if any(file["format"] == form for file in files)]))
    parts.append(f'<path d="M{_LEFT} {_TOP - 4}V{y}" stroke="currentColor" opacity=".6"/>')
    machine = result["machine"]
    parts.append(_text(_LEFT, y + 16, f"{machine['cpu']}, {', '.join(machine['cpu_flags'])}", size=10))
    width, height = _LEFT + _WIDTH + _RIGHT, y + _BOTTOM
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="peers" role="img" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="system-ui,sans-serif">'
        f"<title>{escape(title)}</title>{_STYLE}{''.join(parts)}</svg>\n"
    )


def _bar(file: dict, *, y: float, scale: float) -> str:
    kind = "rewritten" if file["rewritten"] else "plain"
    length = scale * file["median_ms"]
    opacity = 1 if file["rewritten"] else _PALE
    title = escape(f"{file['network']}, {file['format']}, {kind}: {file['median_ms']:.2f} ms")
    return (
        f'<g class="{kind}"><title>{title}</title><rect x="{_LEFT}" y="{y:g}" width="{length:.1f}" height="{_BAR}" '
        f'fill="{_COLOURS[file["format"]]}" opacity="{opacity}"/>'
        f"{_text(_LEFT + length + 4, y + _BAR - 2, format(file['median_ms'], '.1f'), size=9)}</g>"
    )


def _legend(formats: list[str]) -> str:
    entries = [(form, _COLOURS[form], 1) for form in formats]
    entries += [("pale: plain", "currentColor", _PALE), ("full: rewritten", "currentColor", 1)]
    parts, x = [], _LEFT
    for label, colour, opacity in entries:
        parts.append(
            f'<rect x="{x}" y="24" width="10" height="10" fill="{colour}" opacity="{opacity}"/>'
            f"{_text(x + 14, 33, label, size=10)}"
        )
        x += 30 + 6 * len(label)
    return "".join(parts)


def _text(x: float, y: float, text: str, *, size: int, anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" fill="currentColor">'
        f"{escape(text)}</text>"
    )
