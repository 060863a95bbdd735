"""The data sets: which exist, how they get into the cache, and how they become arrays.

`catalogue` lists them, `downloading` fills the cache through `transfers`, `loading` gives a
`Dataset` by its name or path, `splitting` holds part of one out, and `preparing` stores it for
training. What each kind of file needs to be read is in a module of its own: `formats` (IDX),
`emnist`, `usps`, `small_digits`, and, for data of one's own, `own_data` over `image_folders`,
`tables` and `arrays`; `classes` turns any labels into indices, `mnist_form` other images into the
form of MNIST.
"""
