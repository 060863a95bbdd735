"""Commands of `digitflow`, one file each, that `digitflow.cli` puts together."""
