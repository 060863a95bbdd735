"""How the commands of README and docs/ are tested where they cannot be run as they stand.

Each reason is one that a reader of the pages could be told. `tests/docs/test_commands.py` runs all
other commands, and holds that what is listed here still is on a page.
"""

#: Page -> why it is not followed by the tests of commands.
ELSEWHERE = {
    "docs/containers.md": (
        "needs an engine; tests/containers/test_light_image.py follows the Dockerfile without one"
    ),
    "docs/tutorial.md": "tests/newcomer.py follows it, in an environment of its own",
}

_INSTALLS = "installs packages; .ci/run and tests/newcomer.py install as the pages say"
_SERVES = "goes on until it is stopped; tests/web/test_server.py takes each documented option"
_PREFECT = "needs a server that stays; tests/flows/test_under_prefect.py does the same with one"

#: Command -> why it is not run.
NOT_RUN = {
    "python3 -m venv .venv && . .venv/bin/activate": _INSTALLS,
    "pip install -r requirements-light.txt -c constraints.txt && pip install --no-deps .": (
        "installs packages; tests/containers/test_light_image.py does it in an empty file system"
    ),
    "pip install -e . -c constraints.txt": _INSTALLS,
    '. .venv/bin/activate && pip install -e ".[test]" -c constraints.txt && pytest': _INSTALLS,
    'pip install "digitflow[dask]"': _INSTALLS,
    'pip install "tensorflow[and-cuda]" -c constraints.txt': "needs a GPU to be of use",
    "python -c \"import tensorflow; print(tensorflow.config.list_physical_devices('GPU'))\"": (
        "needs a GPU; without one, TensorFlow is not silent"
    ),
    "python flows/train_flow.py": "may download; tests/flows/test_train_mnist.py trains on MNIST",
    "python flows/train_flow.py --network accurate": (
        "takes half an hour; tests/flows/test_train_mnist.py trains others"
    ),
    "python flows/train_flow.py --dataset my-digits/ --network robust": (
        "as without --network, which is run"
    ),
    "python flows/train_flow.py --network robust --drawn-digits 20000 --outliers 30000": (
        "takes half an hour; tests/learning/test_training.py does it in small"
    ),
    "python flows/train_flow.py --dataset mnist --network robust --drawn-digits 20000 --outliers "
    "30000 --corrections out-answers.csv": "as above",
    "python flows/tune_flow.py": "takes hours; tests/flows/test_tune_flow.py searches in small",
    "python flows/tune_flow.py --dataset mnist --trials 20 --jobs 2": "as above",
    "python flows/train_flow.py --dataset emnist-letters": "downloads 560 MB and trains for long",
    "digitflow score images/ out.parquet --model emnist-letters": "needs the model of that run",
    "python flows/train_flow.py --dataset mnist --corrections monday-answers.csv --corrections "
    "tuesday-answers.csv": "as with one list, which is run",
    "python flows/train_flow.py --dataset mnist --corrections corrections/": (
        "as with one list; tests/datasets/test_corrections.py has folders"
    ),
    "digitflow serve": _SERVES,
    "digitflow serve --port 9000 --model mnist@pretrained": _SERVES,
    "DIGITFLOW_TOKEN=$(openssl rand -hex 32) digitflow serve --host 0.0.0.0": _SERVES,
    "DIGITFLOW_TOKEN=… digitflow serve --allowed-host digits.example": _SERVES,
    "prefect server start": _PREFECT,
    "export PREFECT_API_URL=http://127.0.0.1:4200/api": _PREFECT,
    "python flows/deployments.py": _PREFECT,
    "prefect work-pool create digitflow --type process": _PREFECT,
    "prefect --no-prompt deploy --all": _PREFECT,
    "python flows/deployments.py --sweep": _PREFECT,
    "prefect worker start --pool digitflow": _PREFECT,
    "digitflow score /data/images out.parquet --dask tcp://10.0.0.1:8786": (
        "needs a cluster; tests/scoring/test_cluster.py has one"
    ),
    "digitflow models rollback mnist": (
        "needs two promoted versions; tests/models/test_promotions.py has them"
    ),
    "digitflow runs show 20261122-0018": "tests/commands/test_runs_command.py has runs to show",
    "digitflow runs compare FIRST SECOND": "as above",
    "digitflow runs compare FIRST SECOND --picture both.png": "as above",
}

#: Python block, by its first line -> why it is not run.
PYTHON_NOT_RUN = {
    'pandas.read_parquet("scored")': (
        "Spark is no part of the test environment; tests/scoring/test_dataset_readers.py has the "
        "others"
    ),
}

_SMALL = "a training in small: what is tested is that it runs"

#: Command -> what is run in its place, and why.
INSTEAD = {
    "python flows/train_flow.py --dataset mnist --corrections out-answers.csv": (
        "python flows/train_flow.py --dataset digits --epochs 1 --corrections out-answers.csv",
        _SMALL,
    ),
    "python flows/train_flow.py --dataset my-digits/": (
        "python flows/train_flow.py --dataset my-digits/ --epochs 1",
        _SMALL,
    ),
    "python flows/train_flow.py --dataset my-letters/": (
        "python flows/train_flow.py --dataset my-letters/ --epochs 1",
        _SMALL,
    ),
    "digitflow review out.parquet --out sheet.html --images /mnt/moved": (
        "digitflow review out.parquet --out sheet.html --images images",
        "no test may write to /mnt",
    ),
}
