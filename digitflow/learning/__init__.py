"""Networks, their training, the scikit-learn estimators around them, and the way into a bundle.

Everything here needs TensorFlow, which is imported here once, without its chatter; nothing on the
scoring path imports this package.
"""

import contextlib
import logging
import os

from digitflow.console import native_chatter_hidden
from digitflow.signals import signals_deferred

# Read by TensorFlow and Keras when they are first imported. Level 3, because TensorFlow 2.21 logs
# harmless lines of its data pipeline as errors; a real error is a Python exception.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# TensorFlow takes every core for itself; joblib tells its workers by this how many are theirs.
if "OMP_NUM_THREADS" in os.environ:
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", os.environ["OMP_NUM_THREADS"])
    os.environ.setdefault("TF_NUM_INTEROP_THREADS", os.environ["OMP_NUM_THREADS"])


def _is_not_about_retracing(record: logging.LogRecord) -> bool:
    """Drop TensorFlow's advice on functions that are traced often: each new network has its own."""
    return "triggered tf.function retracing" not in record.getMessage()


with signals_deferred(), native_chatter_hidden():
    import keras  # noqa: F401  (its modules are native in good part, as TensorFlow's)
    import tensorflow

    tensorflow.get_logger().addFilter(_is_not_about_retracing)

    for _gpu in tensorflow.config.list_physical_devices("GPU"):
        # Fails where somebody used TensorFlow before: then theirs is the choice.
        with contextlib.suppress(RuntimeError):
            tensorflow.config.experimental.set_memory_growth(_gpu, True)
