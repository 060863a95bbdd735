"""What a server may be told."""

from dataclasses import dataclass
from pathlib import Path

from digitflow.errors import UsageError


@dataclass(frozen=True)
class ServerOptions:
    """How digits are served.

    Raises
    ------
    UsageError
        If the numbers contradict each other.
    """

    host: str = "127.0.0.1"  # the address to listen on
    port: int = 8000  # 0 takes any that is free
    model: str | None = None  # a name or name@version of the registry; None is the default model
    token: str | None = None  # what clients must send as bearer token
    no_auth: bool = False  # serve other addresses than loopback without a token
    allowed_hosts: tuple[str, ...] = ()  # more names by which clients may call the server
    allowed_origins: tuple[str, ...] = ()  # of pages elsewhere that may use the API
    workers: int = 0  # processes that read large images; 0: as many as usable cores, at most 4
    queue: int = 64  # images that may wait in each lane
    max_body: int = 20 * 2**20  # bytes of a request
    max_files: int = 32  # images in a batch
    connections: int = 512  # open at once; beyond them, only health is answered
    header_deadline: float = 5.0  # s, until a request's headers are there
    body_deadline: float = 20.0  # s, until its body is there
    write_deadline: float = 20.0  # s, until a client has taken the answer
    drain: float = 20.0  # s that running requests get when the server is told to stop
    feedback: Path | None = None  # the folder for corrected images; None takes none
    feedback_cap: int = 256 * 2**20  # bytes that it may hold

    def __post_init__(self) -> None:
        if self.max_files < 1 or self.queue < self.max_files:
            raise UsageError(
                f"a batch of {self.max_files} images never fits a queue of {self.queue}; "
                "allow at least one file, and as many places in the queue"
            )
