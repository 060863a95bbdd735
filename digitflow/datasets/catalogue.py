"""Which data sets exist, where they come from, and how their files are recognised."""

import string
from dataclasses import dataclass
from difflib import get_close_matches

from digitflow.errors import UsageError

DIGITS = tuple(string.digits)
LETTERS = tuple(string.ascii_uppercase)

#: EMNIST's balanced classes: small letters that look like their capitals count as these.
BALANCED = (*DIGITS, *LETTERS, *"abdefghnqrt")


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set, known by its content.

    SHA-256 where it is known; otherwise MD5, which finds every accident, but no forgery.

    Raises
    ------
    UsageError
        If there is neither: what cannot be checked is not downloaded.
    """

    name: str  # in the cache, and after the mirror's address
    sha256: str = ""  # 64 hexadecimal digits, or empty
    size: int | None = None  # bytes, where they are known
    md5: str = ""  # 32 hexadecimal digits, or empty

    def __post_init__(self) -> None:
        """Refuse a file without a digest."""
        if not self.sha256 and not self.md5:
            raise UsageError(f"{self.name}: has no digest; give its SHA-256 or its MD5")


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is loaded."""

    name: str  # in `load_dataset(name)`
    folder: str  # in the cache; several data sets may share one
    title: str  # for people
    mirrors: tuple[str, ...]  # addresses that end in "/", the preferred one first
    files: tuple[RemoteFile, ...]  # none where the data comes with a library
    class_names: tuple[str, ...]  # label i means class_names[i]
    terms: str  # whose work, under which licence


_QMNIST_MIRRORS = ("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",)
_QMNIST_TERMS = "C. Yadav, L. Bottou; BSD"

# The publishers give MD5 only; these SHA-256 are those of the files with that MD5.
_QMNIST_LABELS = (
    RemoteFile(
        name="qmnist-train-labels-idx2-int.gz",
        sha256="2c05dc77f6b916b38e455e97ab129a42a444f3dbef09b278a366f82904e0dd9f",
        size=463_024,
    ),
    RemoteFile(
        name="qmnist-test-labels-idx2-int.gz",
        sha256="9fbcbe594c3766fdf4f0b15c5165dc0d1e57ac604e01422608bb72c906030d06",
        size=526_800,
    ),
)


def _emnist(part: str, title: str, class_names: tuple[str, ...]) -> DatasetInfo:
    return DatasetInfo(
        name=f"emnist-{part}",
        folder="emnist",
        title=title,
        mirrors=("https://biometrics.nist.gov/cs_links/EMNIST/",),
        files=(
            RemoteFile(
                name="gzip.zip",
                sha256="fb9bb67e33772a9cc0b895e4ecf36d2cf35be8b709693c3564cea2a019fcda8e",
                size=561_753_746,
            ),
        ),
        class_names=class_names,
        terms="G. Cohen, S. Afshar, J. Tapson, A. van Schaik; from NIST Special Database 19",
    )


DATASETS = {
    info.name: info
    for info in (
        DatasetInfo(
            name="mnist",
            folder="mnist",
            title="MNIST",
            mirrors=(
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://raw.githubusercontent.com/fgnt/mnist/master/",
            ),
            files=(
                RemoteFile(
                    name="train-images-idx3-ubyte.gz",
                    sha256="440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                    size=9_912_422,
                ),
                RemoteFile(
                    name="train-labels-idx1-ubyte.gz",
                    sha256="3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                    size=28_881,
                ),
                RemoteFile(
                    name="t10k-images-idx3-ubyte.gz",
                    sha256="8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                    size=1_648_877,
                ),
                RemoteFile(
                    name="t10k-labels-idx1-ubyte.gz",
                    sha256="f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                    size=4_542,
                ),
            ),
            class_names=DIGITS,
            terms="Y. LeCun, C. Cortes, C. Burges; CC BY-SA 3.0",
        ),
        DatasetInfo(
            name="digits",
            folder="digits",
            title="scikit-learn's small digits",
            mirrors=(),
            files=(),
            class_names=DIGITS,
            terms="E. Alpaydin, C. Kaynak; UCI; CC BY 4.0",
        ),
        DatasetInfo(
            name="qmnist",
            folder="qmnist",
            title="QMNIST",
            mirrors=_QMNIST_MIRRORS,
            files=(
                *_QMNIST_LABELS,
                RemoteFile(
                    name="qmnist-train-images-idx3-ubyte.gz",
                    md5="ed72d4157d28c017586c42bc6afe6370",
                ),
                RemoteFile(
                    name="qmnist-test-images-idx3-ubyte.gz",
                    md5="1394631089c404de565df7b7aeaf9412",
                ),
            ),
            class_names=DIGITS,
            terms=_QMNIST_TERMS,
        ),
        _emnist("letters", "EMNIST Letters", LETTERS),
        _emnist("balanced", "EMNIST Balanced", BALANCED),
        _emnist("digits", "EMNIST Digits", DIGITS),
        DatasetInfo(
            name="usps",
            folder="usps",
            title="USPS",
            mirrors=("https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/",),
            files=(
                RemoteFile(name="usps.bz2", md5="ec16c51db3855ca6c91edd34d0e9b197"),
                RemoteFile(name="usps.t.bz2", md5="8ea070ee2aca1ac39742fdd1ef5ed118"),
            ),
            class_names=DIGITS,
            terms="Y. LeCun and others, US Postal Service; by way of LIBSVM",
        ),
    )
}

#: Row i of these label files belongs to MNIST image i; they alone tell who wrote it.
MNIST_WRITERS = DatasetInfo(
    name="qmnist",
    folder="qmnist",
    title="QMNIST's labels",
    mirrors=_QMNIST_MIRRORS,
    files=_QMNIST_LABELS,
    class_names=DIGITS,
    terms=_QMNIST_TERMS,
)

#: MNIST test images whose label was not confirmed by most of five people: ten times most saw
#: another digit, three times no digit, twice they could not agree.
#: C. Northcutt, A. Athalye, J. Mueller, "Pervasive Label Errors in Test Sets Destabilize Machine
#: Learning Benchmarks", 2021; the votes are those of cleanlab/label-errors (Apache-2.0).
MNIST_DISPUTED = (
    *(947, 1621, 1901, 2130, 2462, 2597, 2654, 3520),
    *(3558, 5937, 6651, 6783, 8527, 9679, 9729),
)

#: Stands for MNIST where it can be had, and for the small digits where it cannot.
AUTO = "auto"


def find_info(name: str) -> DatasetInfo:
    """Return what is known of a data set of the catalogue.

    Raises
    ------
    UsageError
        If there is no data set of that name.
    """
    if name not in DATASETS:
        known = (AUTO, *DATASETS)
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(
            f"dataset {name!r}: unknown; {hint}known are {', '.join(known)},"
            " and any path of a file or folder"
        )
    return DATASETS[name]
