"""The order in which a training sees its images."""

import tensorflow as tf

from digitflow.learning.examples import Examples


def shuffled_batches(
    examples: Examples, batch_size: int, seed: int, epoch: int
) -> tuple[tf.data.Dataset, int]:
    """Return batches of examples without end, each epoch in another order.

    Keras' own shuffling repeats one order for ever as soon as TensorFlow has a global seed. Here
    the order depends on the seed and the number of the epoch alone, so that a fit that was killed
    goes on with the very batches it would have seen.

    Parameters
    ----------
    examples : Examples
    batch_size : int
        Images; the last batch of an epoch may be smaller.
    seed : int
    epoch : int
        Number of the first epoch.

    Returns
    -------
    batches : tf.data.Dataset
        Of images and codes, and weights if there are.
    n_batches : int
        So many are an epoch.
    """
    arrays = [tf.constant(array) for array in examples.arrays()]
    n_images = len(examples)

    def of_epoch(number: tf.Tensor) -> tf.data.Dataset:
        seeds = tf.stack([tf.constant(seed, tf.int64), number])
        order = tf.random.experimental.stateless_shuffle(tf.range(n_images), seed=seeds)

        def batch_from(start: tf.Tensor) -> tuple[tf.Tensor, ...]:
            return tuple(tf.gather(array, order[start : start + batch_size]) for array in arrays)

        return tf.data.Dataset.range(0, n_images, batch_size).map(batch_from)

    # Keras' PyDataset would do without TensorFlow, but takes half as long again for small batches.
    batches = tf.data.Dataset.counter(epoch).flat_map(of_epoch).prefetch(tf.data.AUTOTUNE)
    return batches, -(-n_images // batch_size)
