"""Parser of the XML description of an LSL stream."""

from physio.io.stream_header import (
    StreamHeader,
    parse_xml,
    read_header,
    stream_type,
)

StreamDescription = StreamHeader


def read_description(xml: str, name: str, participant: str = "") -> StreamDescription:
    """Return the description of a stream, from its XML.

    The stream is called ``<name>.<kind>``. See `physio.io.stream_header.read_header`,
    which also reads the headers of XDF files.

    Parameters
    ----------
    xml
        Text of pylsl's ``StreamInfo.as_xml``.
    name, participant
        Name of the device, and code of the participant who wears it.
    """
    root = parse_xml(xml)
    return read_header(root, f"{name}.{stream_type(root)}", participant)
