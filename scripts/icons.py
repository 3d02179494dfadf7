"""Draws the app's icons (PNG) from icon.svg, with Chromium: `.venv/bin/python scripts/icons.py`, after icon.svg was changed.

The pictures have 16 colours, the blends of the icon's two and of the ground's edge, which keeps them below 5 KB.
"""

import struct
import zlib
from pathlib import Path

from playwright.sync_api import sync_playwright

STATIC = Path(__file__).parent.parent / "src" / "rookery" / "gateways" / "web" / "static"
GROUND = (0x1F, 0x5F, 0x99)
STEPS = 11
PALETTE = [
    *((*(c + (255 - c) * step // STEPS for c in GROUND), 255) for step in range(STEPS + 1)),
    *((*GROUND, alpha) for alpha in (0, 64, 128, 191)),
]
ICONS = {"icon-192": (192, 1.0), "icon-512": (512, 1.0), "icon-maskable": (512, 0.72)}
"""Sizes in pixels, and how much of it the drawing takes: masks cut a fifth off."""

DRAW = """async ([svg, size, share]) => {
  const image = new Image();
  image.src = "data:image/svg+xml," + encodeURIComponent(svg.replace("<svg ", `<svg width="${size}" height="${size}" `));
  await image.decode();
  const canvas = new OffscreenCanvas(size, size);
  const context = canvas.getContext("2d");
  if (share < 1) { context.fillStyle = "#1f5f99"; context.fillRect(0, 0, size, size); }
  const edge = (size * (1 - share)) / 2;
  context.drawImage(image, edge, edge, size * share, size * share);
  return Array.from(context.getImageData(0, 0, size, size).data);
}"""


def nearest(pixel: tuple[int, ...], seen: dict[tuple[int, ...], int] = {}) -> int:  # noqa: B006 - a cache
    """The place in the palette of what a pixel (RGBA) comes closest to."""
    if pixel not in seen:
        r, g, b, a = pixel
        drawn = (r, g, b, a) if a > 250 else (*GROUND, a)
        seen[pixel] = min(range(16), key=lambda i: sum((x - y) ** 2 for x, y in zip(PALETTE[i], drawn, strict=True)))
    return seen[pixel]


def chunk(kind: bytes, data: bytes) -> bytes:
    """A part of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(pixels: list[int], size: int) -> bytes:
    """A PNG of four bits a pixel, from RGBA bytes."""
    indices = [nearest(tuple(pixels[at : at + 4])) for at in range(0, len(pixels), 4)]
    rows = b"".join(
        b"\0" + bytes(indices[at] << 4 | indices[at + 1] for at in range(row, row + size, 2))
        for row in range(0, size * size, size)
    )
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", struct.pack(">IIBBBBB", size, size, 4, 3, 0, 0, 0)),
            chunk(b"PLTE", b"".join(bytes(colour[:3]) for colour in PALETTE)),
            chunk(b"tRNS", bytes(colour[3] for colour in PALETTE)),
            chunk(b"IDAT", zlib.compress(rows, 9)),
            chunk(b"IEND", b""),
        )
    )


def main() -> None:
    """Draw all of them."""
    svg = (STATIC / "icon.svg").read_text()
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        page = browser.new_page()
        for name, (size, share) in ICONS.items():
            (STATIC / f"{name}.png").write_bytes(png(page.evaluate(DRAW, [svg, size, share]), size))
        browser.close()


if __name__ == "__main__":
    main()
