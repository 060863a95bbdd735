"""The data sets: which exist, how they get into the cache, and how they become arrays.

`catalogue` lists them, `downloading` fills the cache, `formats` reads files, `loading` gives a
`Dataset`, and `splitting` holds part of one out.
"""
