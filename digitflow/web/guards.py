"""What stands between the network and the API."""

from fastapi import FastAPI

from digitflow.web.options import ServerOptions


def protect(app: FastAPI, options: ServerOptions) -> None:
    """Add the guards to an app."""
