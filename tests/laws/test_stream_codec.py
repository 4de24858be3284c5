"""Every file and message format gives back the whole description of a stream."""

import json
from collections.abc import Callable
from dataclasses import fields, replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from devices.lsl.stream_info import read_description
from physio.core.block import Block, Channel, Origin, StreamInfo
from physio.core.stream_codec import from_dict, to_dict
from physio.io.xdf import header as xdf
from physio.sinks.lsl import Lsl
from physio.sinks.parquet import ParquetTables
from physio.view.dashboard.codec import Decoder, Encoder

Codec = Callable[[StreamInfo], StreamInfo]


def by_json(info: StreamInfo) -> StreamInfo:
    return from_dict(json.loads(json.dumps(to_dict(info))))


def by_message(info: StreamInfo) -> StreamInfo:
    (message,) = Encoder().info(info)
    decoded, _ = Decoder().read(message)
    assert isinstance(decoded, StreamInfo)
    return decoded


def by_xdf(info: StreamInfo) -> StreamInfo:
    written = xdf.write_header(xdf.Header(xdf.Part.BLOCKS, info, 1))
    return xdf.read_header(written).info


def by_parquet(info: StreamInfo) -> StreamInfo:
    rows = np.zeros((2, len(info.channels)))
    with TemporaryDirectory() as folder:
        path = Path(folder)
        with ParquetTables(path, streams=("estimates",)) as tables:
            tables.write(Block(replace(info, name="estimates"), 0, 0.0, rows))
        metadata = parquet.read_schema(path / "estimates.parquet").metadata
    decoded = from_dict(json.loads(metadata[b"physio.stream"]))
    return replace(decoded, name=info.name)


def by_lsl(info: StreamInfo) -> StreamInfo:
    """Name, participant and rate are the receiver's, and none of them is sent."""
    xml = Lsl().describe(replace(info, name="estimates")).as_xml()
    assert "SECRET" not in xml
    described = read_description(xml, "far", info.participant).info
    assert (described.name, described.rate) == ("far.affect", 0)
    return replace(described, name=info.name, rate=info.rate)


text = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=9)
seconds = st.floats(0.001, 1e4)
channels = st.builds(Channel, text, text, text, seconds, seconds)
infos = st.builds(
    StreamInfo,
    text,
    st.fractions(Fraction(1, 100), 2000, max_denominator=10**6),
    st.lists(channels, min_size=1, max_size=3, unique_by=lambda c: c.name).map(tuple),
    st.sampled_from([Origin.SIMULATED, Origin.DEMO]),
    text.map("SECRET".__add__),
    text,
    text,
    text,
)


@pytest.mark.parametrize("codec", [by_json, by_message, by_xdf, by_lsl, by_parquet])
@settings(max_examples=25, deadline=None)
@given(info=infos)
def test_a_codec_gives_back_every_field(codec: Codec, info: StreamInfo) -> None:
    default = StreamInfo("", Fraction(0), ())
    for field in fields(StreamInfo):  # a field added later must be generated here too
        assert getattr(info, field.name) != getattr(default, field.name)
    assert codec(info) == info


def test_an_unknown_field_is_refused() -> None:
    table = to_dict(StreamInfo("a", Fraction(4), (Channel("x"),)))
    with pytest.raises(TypeError, match="colour"):
        from_dict(table | {"colour": "red"})
