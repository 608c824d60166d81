"""How batches are read: what cannot be becomes a record that says so, and no poll reads more than memory takes. Pure.

kafka-python 3.0.12 uncompresses a batch whatever comes out of it, and its poll fails over one that it cannot read.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import cramjam

from matrixhub.relay.driver import CorruptRecordError, DefaultRecord, DefaultRecordBatch, decode_varint
from matrixhub.relay.events import OVERHEAD
from matrixhub.relay.lane import Partition

LARGEST = 16 * 1024**2
"""Bytes of a batch once it is uncompressed. What a broker takes as 1 MiB may be many gigabytes."""
MOST = 150_000
"""Records of a batch: as many as fit into 1 MiB, which a broker takes by default, when they are not compressed."""
POLL = 16 * 1024**2
"""Bytes in memory of what one poll reads: no further batch once there are so many."""

XERIAL, XERIAL_HEADER = b"\x82SNAPPY\0", 16
"""How snappy begins as Java and others write it: block by block, after a header of so many bytes."""


class Unreadable(bytes):
    """Stands for the value of records that cannot be read: why, in words."""

    __slots__ = ()


def _snappy(data: memoryview, room: memoryview) -> int:
    if bytes(data[: len(XERIAL)]) != XERIAL:
        return cramjam.snappy.decompress_raw_into(data, room)
    at, filled = XERIAL_HEADER, 0
    while at < len(data):
        begin = at + 4
        at = begin + int.from_bytes(data[at:begin])
        filled += cramjam.snappy.decompress_raw_into(data[begin:at], room[filled:])
    return filled


_UNCOMPRESS: Mapping[int, Callable[[memoryview, memoryview], int]] = {
    DefaultRecordBatch.CODEC_GZIP: cramjam.gzip.decompress_into,
    DefaultRecordBatch.CODEC_SNAPPY: _snappy,
    DefaultRecordBatch.CODEC_LZ4: cramjam.lz4.decompress_into,
    DefaultRecordBatch.CODEC_ZSTD: cramjam.zstd.decompress_into,
}
"""By codec, what writes the data uncompressed into the room there is, and how many bytes; none writes beyond it."""


class Batch(DefaultRecordBatch):  # type: ignore[misc]  # the driver has no annotations
    """A batch that can always be read: what is broken in it is a record without key whose value is Unreadable."""

    _buffer: bytearray
    _pos: int

    def __init__(self, data: Any, room: memoryview, spend: Callable[[int], None]) -> None:
        """`room` is lent while the batch is uncompressed; `spend` is told how many bytes of memory its records take."""
        super().__init__(data)
        self._room = room
        self._spend = spend

    def validate_crc(self) -> bool:
        """Of a batch that is iterated, whose checksum is looked at then, always."""
        return not self.is_control_batch or bool(super().validate_crc())

    def __iter__(self) -> Iterator[Any]:
        try:
            self._open()
        except (CorruptRecordError, cramjam.DecompressionError) as error:
            yield self._unreadable(self.last_offset, f"{self.records_count} records from {self.base_offset}", error)
            return
        while self._next_record_index < self.records_count:
            try:
                record = next(self)
            except CorruptRecordError as error:
                record = self._unreadable(self._passed(), "the record", error)
            yield record

    def _open(self) -> None:
        """The records lie in the buffer as they are."""
        if not super().validate_crc():
            raise CorruptRecordError("the checksum is wrong")
        if self.records_count > MOST:
            raise CorruptRecordError(f"a batch may have {MOST}")
        if self.compression_type:
            uncompress = _UNCOMPRESS.get(self.compression_type)
            if uncompress is None:
                raise CorruptRecordError(f"compression {self.compression_type} is unknown")
            self._spend(LARGEST)  # what is refused was work, too
            size = uncompress(memoryview(self._buffer)[self._pos :], self._room)
            self._spend(-LARGEST)
            self._buffer, self._pos = bytearray(self._room[:size]), 0
        self._spend(len(self._buffer) + OVERHEAD * self.records_count)

    def _passed(self) -> int:
        """The offset of the record that was to be read, which is passed over; of the last, if nobody knows its end."""
        try:
            size, begin = decode_varint(self._buffer, self._pos)
            _attributes, at = decode_varint(self._buffer, begin)
            _timestamp, at = decode_varint(self._buffer, at)
            delta, _ = decode_varint(self._buffer, at)
        except (IndexError, ValueError):
            size, begin, delta = 0, 0, 0
        if not 0 < size <= len(self._buffer) - begin:
            self._next_record_index = self.records_count
            return int(self.last_offset)
        self._pos = begin + size
        self._next_record_index += 1
        return int(self.base_offset + delta)

    def _unreadable(self, offset: int, what: str, error: Exception) -> Any:
        why = Unreadable(f"{what}: {error.args[0]}"[:200].encode())
        return DefaultRecord(0, offset, self.max_timestamp, self.timestamp_type, None, why, [])


class Batches:
    """Those of one partition in one fetch, in the driver's words. None is left once the poll has read enough.

    The driver then goes on from the last one that was read, and fetches the rest again.
    """

    def __init__(self, found: Any, make: Callable[[Any], Batch], granted: Callable[[], bool]) -> None:
        self._found = found
        self._make = make
        self._granted = granted

    def next_batch(self) -> Any:
        """The next, None when there is none."""
        if not self._found.has_next() or not self._granted():
            return None
        batch = self._found.next_batch()
        return self._make(batch._buffer) if batch.magic >= 2 else batch  # noqa: SLF001, PLR2004  # the driver's format


class Reading:
    """What one consumer reads: so much at each poll, and each partition in its turn if that is not enough for all."""

    def __init__(self, most: int = POLL) -> None:
        self._most = self._left = most
        self._room = memoryview(bytearray(LARGEST))
        self._served: set[Partition] = set()
        """Who has read since it was last enough for all, and waits for the others."""
        self._reading: set[Partition] = set()
        self._short = False
        """Whether somebody was to read and could not."""

    def begin(self) -> None:
        """A new poll has all that a poll may read."""
        self._served = self._served | self._reading if self._short else set()
        self._reading, self._short, self._left = set(), False, self._most

    def batches(self, partition: Partition, found: Any) -> Batches:
        """What the driver found in a fetch, to be read within these bounds."""
        return Batches(found, lambda data: Batch(data, self._room, self._spend), lambda: self._granted(partition))

    def _spend(self, size: int) -> None:
        self._left -= size

    def _granted(self, partition: Partition) -> bool:
        if partition in self._served:
            return False
        if self._left <= 0:
            self._short = self._short or partition not in self._reading
            return False
        self._reading.add(partition)
        return True
