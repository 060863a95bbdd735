"""`python -m digitflow` is the command line."""

import sys

from digitflow.cli import main

sys.exit(main())
