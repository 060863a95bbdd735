"""A folder of images becomes a table: the work is planned (`plan`), done shard by shard (`shard`),
written after the contract of the scored table (`table`), to one file or to a folder of parts
(`dataset`), and led from start to end (`folder`).
"""
