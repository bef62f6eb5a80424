"""Entries of a zip file, zstd among them, which Python reads itself only from 3.14.

Inspect compresses with zstd (method 93) where it can: PKWARE's APPNOTE 6.3.10, 4.4.5.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from typing import IO

from cot.importers.record import BadRecordError

__all__ = ["read_entry"]

ZSTD = 93
LARGEST = 2**30
"""Bytes that an entry may hold when unpacked."""


def read_entry(archive: zipfile.ZipFile, handle: IO[bytes], entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes, or BadRecordError.

    Args:
        archive: the open zip.
        handle: the file it was opened on.
        entry: one of its entries.
    """
    if entry.flag_bits & 1:
        raise BadRecordError("it is encrypted")
    if entry.file_size > LARGEST:
        raise BadRecordError(f"it holds {entry.file_size} bytes; at most {LARGEST} are read")
    try:
        if entry.compress_type != ZSTD:
            return archive.read(entry)
        return _zstd(handle, entry)
    except NotImplementedError:
        raise BadRecordError(f"it is packed by method {entry.compress_type}") from None
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError, struct.error) as error:
        raise BadRecordError(f"it cannot be unpacked: {error}") from None


def _zstd(handle: IO[bytes], entry: zipfile.ZipInfo) -> bytes:
    import pyarrow as pa

    handle.seek(entry.header_offset)
    name, extra = struct.unpack("<26xHH", handle.read(30))
    handle.seek(name + extra, 1)
    packed = handle.read(entry.compress_size)
    content: bytes = pa.Codec("zstd").decompress(packed, entry.file_size, asbytes=True)
    if zlib.crc32(content) != entry.CRC:
        raise zipfile.BadZipFile("its checksum is wrong")
    return content
