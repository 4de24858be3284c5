"""Recordings and streams made to break a session: the table of attacks, rebuilt."""

import gzip
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from hostile import ELSEWHERE
from physio.cli import app
