"""Which data sets exist, where they come from, and how their files are recognised."""

from dataclasses import dataclass
from difflib import get_close_matches

from digitflow.errors import UsageError

DIGITS = tuple("0123456789")


@dataclass(frozen=True)
class RemoteFile:
    """One file of a data set, known by its content."""

    name: str  # in the cache, and after the mirror's address
    sha256: str  # 64 hexadecimal digits
    size: int  # bytes


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a data set before it is loaded."""

    name: str  # in `load_dataset(name)`, and of its folder in the cache
    title: str  # for people
    mirrors: tuple[str, ...]  # addresses that end in "/", the preferred one first
    files: tuple[RemoteFile, ...]  # none where the data comes with a library
    class_names: tuple[str, ...]  # label i means class_names[i]
    terms: str  # whose work, under which licence


DATASETS = {
    info.name: info
    for info in (
        DatasetInfo(
            name="mnist",
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
            title="scikit-learn's small digits",
            mirrors=(),
            files=(),
            class_names=DIGITS,
            terms="E. Alpaydin, C. Kaynak; UCI; CC BY 4.0",
        ),
    )
}

#: Row i of these label files belongs to MNIST image i; they alone tell who wrote it.
MNIST_WRITERS = DatasetInfo(
    name="qmnist",
    title="QMNIST's labels",
    mirrors=("https://raw.githubusercontent.com/facebookresearch/qmnist/master/",),
    # The publishers give MD5 only; these SHA-256 are those of the files with that MD5.
    files=(
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
    ),
    class_names=DIGITS,
    terms="C. Yadav, L. Bottou; BSD",
)

#: Stands for MNIST where it can be had, and for the small digits where it cannot.
AUTO = "auto"


def find_info(name: str) -> DatasetInfo:
    """Return what is known of a data set.

    Raises
    ------
    UsageError
        If there is no data set of that name.
    """
    if name not in DATASETS:
        known = (AUTO, *DATASETS)
        close = get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise UsageError(f"dataset {name!r}: unknown; {hint}known are {', '.join(known)}")
    return DATASETS[name]
