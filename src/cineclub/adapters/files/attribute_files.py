"""What lies beside the ratings of a release and describes its movies: tags, TMDB's files, attributes of an export."""

from collections.abc import Callable, Mapping, Sequence

from cineclub.adapters.files.lines import SourceFile
from cineclub.adapters.files.movie_table import delimited_table
from cineclub.adapters.files.movies import Movies, joined, lacking
from cineclub.adapters.files.rejecting import blocks_of
from cineclub.adapters.files.tags import CSV_TAGS, DAT_TAGS, read_tags
from cineclub.adapters.files.tmdb_files import FILES, tmdb_movies

OUR_ATTRIBUTES = "attributes.csv"
TAGS = {"tags.csv": CSV_TAGS, "tags.dat": DAT_TAGS}


def described(files: Mapping[str, Callable[[], SourceFile]], movies: Movies, rated_ids: Sequence[str]) -> Movies:
    """Return the movies of a release with what its other files say of them.

    Raises:
        InvalidInput: a file is no text, or cannot be read.
    """
    parts = [movies]
    known_ids = {*rated_ids, *(movie.external_id for movie in movies.movies)}
    if OUR_ATTRIBUTES in files:
        parts.append(_attributes(files[OUR_ATTRIBUTES]))
    if FILES.keys() & files.keys():
        parts.append(tmdb_movies(files, known_ids))
        known_ids |= {movie.external_id for movie in parts[-1].movies}
    parts += [read_tags(files[name], layout, known_ids) for name, layout in TAGS.items() if name in files]
    return joined(parts) if len(parts) > 1 else movies


def _attributes(open_file: Callable[[], SourceFile]) -> Movies:
    """Return the attributes of an export; of a file of that name with other columns only the header is rejected."""
    if fault := lacking(open_file, ("movieId", "available", "overview", "labels")):
        return Movies([], blocks_of([fault]))
    return delimited_table(OUR_ATTRIBUTES, open_file, is_ours=True).read()
