"""A month's report as one HTML page that needs nothing else, and as a picture; both are SVG drawn by hand."""

from cineclub.replay.page.document import page_of
from cineclub.replay.page.plots import picture_of

__all__ = ["page_of", "picture_of"]
