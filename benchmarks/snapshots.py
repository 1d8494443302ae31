"""Writing, loading and rewriting a snapshot of generated ratings, and their statistics: seconds, bytes, memory."""

import argparse
import re
import tempfile
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from cineclub.adapters.snapshots import SnapshotArchive
from cineclub.domain.drift.statistics import baseline_of
from cineclub.domain.ratings.log import Movie, RatingLog, Snapshot, SnapshotIdentity
from cineclub.domain.ratings.snapshot_records import Erasure, SnapshotRecord
from generated_ratings import generated_log
from report import write_report
from section import table_of, timed

KIB, MIB = 2**10, 2**20
PROCESS = Path("/proc/self")


@dataclass
class RecordsInMemory:
    """The records of snapshots in memory, without the time of a database."""

    records: list[SnapshotRecord] = field(default_factory=list)
    erased: list[Erasure] = field(default_factory=list)

    def note_kept(self, identity: SnapshotIdentity) -> None:
        """Record a snapshot."""
        record = SnapshotRecord(identity.content_sha256, identity.n_ratings, None, datetime.now(UTC))
        self.records.append(record)

    def note_dropped(self, content_sha256s: list[str]) -> None:
        """Do nothing."""

    def note_erased(self, content_sha256: str) -> None:
        """Do nothing."""

    def all(self) -> list[SnapshotRecord]:
        """Return the records."""
        return self.records

    def erasures(self) -> list[Erasure]:
        """Return the erasures."""
        return self.erased


def main() -> None:
    """Measure and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ratings", type=int, default=10_000_000)
    n_ratings = parser.parse_args().ratings
    log = generated_log(n_ratings)
    snapshot = Snapshot(log, movies_of(log), SnapshotIdentity.of(log))
    with tempfile.TemporaryDirectory(prefix="cineclub-snapshots-") as folder:
        rows = measure(Path(folder), snapshot)
    figures = {"ratings": n_ratings, "rows": rows}
    cells = [[row["what"], f"{row['seconds']:.1f}", f"{row['more_memory_mib']:,.0f}", row["note"]] for row in rows]
    head = f"{n_ratings:,} generated ratings; memory excludes the ratings themselves.\n\n"
    write_report("snapshots", figures, head + table_of(["operation", "seconds", "additional MiB", ""], cells))


def measure(folder: Path, snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return a row for each piece of work."""
    records = RecordsInMemory()
    archive = SnapshotArchive(folder, records, 3, lambda: None)
    rows = [row_of("store", lambda: archive.keep(snapshot))]
    n_bytes = sum(file.stat().st_size for file in folder.glob("*/*.parquet"))
    rows[0]["note"] = f"{n_bytes / len(snapshot.log):.2f} bytes per rating, {n_bytes / MIB:,.0f} MiB"
    statistics = row_of("statistics of all ratings and 26 weeks", lambda: baseline(snapshot))
    rows.append(row_of("load and check the hash", lambda: archive.load(snapshot.identity.content_sha256)))
    records.erased.append(Erasure(str(uuid.uuid4()), int(snapshot.log.user_ids[len(snapshot.log) // 2])))
    rows.append(row_of("erase one user", archive.apply_erasures))
    return [*rows, statistics]


def baseline(snapshot: Snapshot) -> None:
    """Compute the baseline that is stored with a version."""
    baseline_of(snapshot.log, snapshot.movies)


def row_of(what: str, work: Callable[[], object]) -> dict[str, Any]:
    """Return the seconds of a piece of work, and its additional peak memory."""
    (PROCESS / "clear_refs").write_text("5")  # resets the peak memory
    before = memory_bytes("VmRSS")
    seconds, _ = timed(work)
    return {"what": what, "seconds": seconds, "more_memory_mib": (memory_bytes("VmHWM") - before) / MIB, "note": ""}


def memory_bytes(name: str) -> int:
    """Return a memory figure of this process in bytes: VmRSS is the present, VmHWM the peak."""
    return int(re.search(rf"{name}:\s+(\d+) kB", (PROCESS / "status").read_text())[1]) * KIB


def movies_of(log: RatingLog) -> tuple[Movie, ...]:
    """Return a film for each id of a log."""
    ids = np.unique(log.movie_ids).tolist()
    return tuple(Movie(nth, str(nth), f"Film {nth}", 1930 + nth % 95, ("Drama", "Comedy")) for nth in ids)


if __name__ == "__main__":
    main()
