"""Puts the grids of a run side by side, for the README: `python docs/images/demo.py runs/demo`."""

import sys
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

folder, out = Path(sys.argv[1]), Path(__file__).with_suffix(".png")
panels = {"real": "real.png", "published WDCGAN": "reference-wdcgan.png", "evolved": "best.png"}
side, gap, head = 288, 16, 28
sheet = Image.new("RGB", (len(panels) * (side + gap) - gap, side + head), "white")
draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(16)
for i, (title, name) in enumerate(panels.items()):
    sheet.paste(Image.open(folder / name).convert("RGB").resize((side, side)), (i * (side + gap), head))
    draw.text((i * (side + gap) + side / 2, head / 2), title, "black", font, anchor="mm")
sheet.save(out, optimize=True)
