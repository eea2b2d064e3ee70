"""A million files against as many rows on PostgreSQL: `srb_cleanup` beside find, psql, sort, comm.

The files are hard links to a few small ones, in the folders of 1,700 nights; a handful of them is
missing, short or unknown to the database.  The reference writes `find` with sizes and `COPY` with
sizes through `sort`, then `comm`; both must find the same paths.  They run in turns, on warm
caches.  The peak of our memory is measured at half the number of files, too.
"""

from __future__ import annotations

import csv
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from benchmarks._survey import driver_of
from benchmarks._turns import Turns, end
from snfpipe.config.project import load_project
from snfpipe.db.session import Database, open_database
from snfpipe.names import ExposureId, Night, ProductName
from snfpipe.services.postgresql import PostgreSQL

SOURCE = Path(__file__).parents[1]
FILES, NIGHTS = 1_000_000, 1_700
TURNS = 3
LIMIT, LIMIT_MB, LIMIT_GROWTH = 1.5, 300, 1.05
SIZES = [2880 * n for n in range(1, 41)]  # of the few files that the others are links to
CLASSES = [(3, 0), (7, 0), (17, 0), (22, 0), (22, 1), (38, 100), (38, 200)]
REFERENCE = r"""
find Prod -type f -printf '%p\t%s\n' | sort > "$W/files"
"$PSQL" -q -c "COPY (SELECT path, size FROM file WHERE area = 'archive') TO STDOUT" "$DB" |
    sort > "$W/rows"
comm -3 "$W/files" "$W/rows" > "$W/different"
"""
MISSING, SHORT, STRANGE = 7, 5, 6
SRB_CLEANUP = Path(sys.executable).with_name("srb_cleanup")


def products(night: Night, count: int) -> Iterator[ProductName]:
    """Yield names of products of a night."""
    for n in range(count):
        n, which = divmod(n, len(CLASSES))
        n, blue = divmod(n, 2)
        run, exposure = divmod(n, 4)
        yield ProductName(
            ExposureId(night, run + 1, exposure + 1), 4 if blue else 2, *CLASSES[which], 203, 0
        )


def fill(archive: Path, database: Database, nights: list[Night], count: int) -> None:
    """Write files and rows of some nights."""
    seeds = []
    for size in SIZES:
        seed = archive / f".seed-{size}-{nights[0]}"
        seed.write_bytes(b"\0" * size)
        seeds.append(seed)
    # on disk: a child's peak memory counts from that of whoever started it
    with (archive / ".processes").open("w+") as processes, (archive / ".files").open("w+") as files:
        _write(archive, seeds, nights, count, processes, files)
        _copy(database, processes, files)


def _write(
    archive: Path, seeds: list[Path], nights: list[Night], count: int,
    processes: TextIO, files: TextIO,
) -> None:  # fmt: skip
    """Link the files; write the rows as COPY reads them."""
    per_night = -(-count // len(nights))
    made = 0
    for night in nights:
        for name in products(night, min(per_night, count - made)):
            size = SIZES[made // 50_000 % len(SIZES)]
            path = archive / name.archive_path
            if not made % per_night:
                path.parent.mkdir(parents=True, exist_ok=True)
            os.link(seeds[made // 50_000 % len(SIZES)], path)
            processes.write(
                f"{name.id_process}\t{name.fclass}\t{name.xfclass}\t{name.channel}\t"
                f"203\t0\t{night}\t1\t1\t$\tlive\n"
            )
            files.write(
                f"{name}\tarchive\t{name.archive_path}\t{size}\t{made:064x}\t"
                f"{name.id_process}\tmain\t{night}\n"
            )
            made += 1


def _copy(database: Database, processes: TextIO, files: TextIO) -> None:
    """Load the rows."""
    pooled = database.engine.raw_connection()
    connection = driver_of(pooled)
    try:
        cursor = connection.cursor()
        for table, columns, content in (
            ("process", "id_process,fclass,xfclass,channel,version,idx,night,status,quality,"
             "quality_s,state", processes),
            ("file", "name,area,path,size,checksum,id_process,role,night", files),
        ):  # fmt: skip
            content.seek(0)
            cursor.copy_expert(f"COPY {table} ({columns}) FROM STDIN", content)
        connection.commit()
        connection.autocommit = True
        cursor.execute("VACUUM ANALYZE process")
        cursor.execute("VACUUM ANALYZE file")
    finally:
        pooled.close()


def spoil(archive: Path, nights: list[Night]) -> set[str]:
    """Take some files away, shorten some, add some; return all these paths."""
    wrong = set()
    for n in range(MISSING + SHORT):
        (name, *_) = products(nights[len(nights) * n // (MISSING + SHORT)], 1)
        path = archive / name.archive_path
        path.unlink()
        if n >= MISSING:
            path.write_bytes(b"short")
        wrong.add(name.archive_path)
    for n in range(STRANGE):
        (name, *_) = products(nights[len(nights) * n // STRANGE], 1)
        folder, _, rest = name.archive_path.rpartition("/")
        path = archive / folder / f"strange-{rest}"
        path.write_bytes(b"strange")
        wrong.add(f"{folder}/{path.name}")
    return wrong


def reference(archive: Path, cluster: PostgreSQL, url: str, work: Path) -> tuple[float, set[str]]:
    """Do it by find, psql, sort and comm; return wall time [s] and the paths that differ."""
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "W": str(work),
        "DB": url,
        "PSQL": f"{cluster.bin}/psql",
    }
    started = time.perf_counter()
    subprocess.run(["bash", "-euc", REFERENCE], cwd=archive, env=environment, check=True)
    elapsed_s = time.perf_counter() - started
    lines = (work / "different").read_text().splitlines()
    return elapsed_s, {line.strip("\t").split("\t")[0] for line in lines}


def ours(root: Path, url: str) -> tuple[float, float, set[str]]:
    """Run srb_cleanup; return wall time [s], peak memory [MB] and the paths it found."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("SNF_")}
    environment["SNF_DATABASE_URL"] = url
    started = time.perf_counter()
    with (root / "found.csv").open("w") as out:
        process = subprocess.Popen(
            [SRB_CLEANUP, "--min-age", "0", "--csv", "--findings"],
            cwd=root, env=environment, stdout=out,
        )  # fmt: skip
        _pid, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    elapsed_s = time.perf_counter() - started
    assert process.returncode == 1, process.returncode
    with (root / "found.csv").open(newline="") as file:
        return elapsed_s, used.ru_maxrss / 1024, {row["place"] for row in csv.DictReader(file)}


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="snf-reconcile-"))
    folder.chmod(0o755)  # user postgres has to reach the socket
    cluster = PostgreSQL(folder / "pg")
    try:
        cluster.up()
        return measure(folder, cluster)
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)


def measure(root: Path, cluster: PostgreSQL) -> int:
    for name in ("configs", "versions", "lists"):
        shutil.copytree(SOURCE / name, root / name)
    url = cluster.url("snfpipe")
    os.environ["SNF_DATABASE_URL"] = url
    project = load_project(root)
    archive = project.site.archive
    archive.mkdir(parents=True)
    database = open_database(url, create=True)
    nights = [Night(4 + n // 190, 1 + n % 190) for n in range(NIGHTS)]
    halves = (nights[: NIGHTS // 2], nights[NIGHTS // 2 :])
    wrong: set[str] = set()
    half_turns, turns = Turns(), Turns()  # at half the number of files, and at all of them
    peaks = []
    for half in halves:
        fill(archive, database, half, FILES // 2)
        wrong |= spoil(archive, half)
        ours(root, url)  # the first of two scans
        peak = 0.0
        for _turn in range(TURNS if half is halves[-1] else 1):
            elapsed_s, memory_mb, found = ours(root, url)
            assert found == wrong, found ^ wrong
            reference_s, found = reference(archive, cluster, url, root)
            assert found == wrong, found ^ wrong
            (turns if half is halves[-1] else half_turns).add(elapsed_s, reference_s)
            peak = max(peak, memory_mb)
        peaks.append(peak)
    database.close()
    print(
        f"{FILES // 2} files: {half_turns.ours[0]:.2f} s, {peaks[0]:.0f} MB at most; "
        f"{FILES} files: {statistics.median(turns.ours):.2f} s, {peaks[1]:.0f} MB at most; "
        f"{len(wrong)} wrong, all found"
    )
    growth = peaks[1] / peaks[0]
    return end(
        "reconcile", turns, LIMIT,
        holds=peaks[1] <= LIMIT_MB and growth <= LIMIT_GROWTH,
        memory_mb=round(peaks[1], 1), memory_growth=round(growth, 3),
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
