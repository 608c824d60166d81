"""Batches as brokers keep them: each compression, what is broken, what is too much, and everybody's turn."""

import struct
from typing import Any

import pytest

from matrixhub.relay.batches import LARGEST, MOST, POLL, Reading, Unreadable
from matrixhub.relay.driver import DefaultRecordBatch
from matrixhub.relay.events import OVERHEAD

# After the import above, which knows how to import the driver without its warnings.
from kafka.record import MemoryRecords  # isort: skip
from kafka.record.memory_records import MemoryRecordsBuilder  # isort: skip
from kafka.record.util import calc_crc32c  # isort: skip
from kafka.codec import snappy_encode  # isort: skip

HERE, THERE = ("green.institution.updates", 0), ("hill.institution.updates", 0)
PLAIN, GZIP, SNAPPY, LZ4, ZSTD = range(5)


def batch(values: list[bytes | None], codec: int = PLAIN, name: str = "", first: int = 0) -> bytearray:
    made = MemoryRecordsBuilder(magic=2, compression_type=codec, batch_size=2**40)
    for value in values:
        made.append(1000, None, value, [(name, b"")] if name else [])
    made.close()
    raw = bytearray(made.buffer())
    struct.pack_into(">q", raw, 0, first)
    return raw


def signed(raw: bytearray) -> bytearray:
    """The batch with the checksum of what it holds now."""
    crc = calc_crc32c(memoryview(raw)[DefaultRecordBatch.ATTRIBUTES_OFFSET :])
    struct.pack_into(">I", raw, DefaultRecordBatch.CRC_OFFSET, crc)
    return raw


def read(reading: Reading, *raw: bytearray, at: tuple[str, int] = HERE) -> list[tuple[int, Any]]:
    """Offsets and values, as the driver comes by them."""
    batches = reading.batches(at, MemoryRecords(b"".join(raw)))
    return [(record.offset, record.value) for each in iter(batches.next_batch, None) for record in each]


def new() -> Reading:
    made = Reading()
    made.begin()
    return made


@pytest.mark.parametrize("codec", [PLAIN, GZIP, SNAPPY, LZ4, ZSTD])
def test_each_compression_is_read(codec):
    values = [b"a" * 100_000, None, b"", b"b"]
    assert read(new(), batch(values, codec, first=7)) == list(zip(range(7, 11), values, strict=True))


def test_snappy_of_other_clients_is_read_too():
    plain = batch([b"a" * 100])
    at = DefaultRecordBatch.HEADER_STRUCT.size
    for blocks in (snappy_encode(plain[at:], xerial_compatible=False), snappy_encode(plain[at:], xerial_blocksize=7)):
        raw = plain[:at] + blocks
        struct.pack_into(">i", raw, 8, len(raw) - 12)
        struct.pack_into(">h", raw, DefaultRecordBatch.ATTRIBUTES_OFFSET, SNAPPY)
        assert read(new(), signed(raw)) == [(0, b"a" * 100)]


@pytest.mark.parametrize("codec", [GZIP, SNAPPY, LZ4, ZSTD])
def test_what_is_too_large_once_it_is_uncompressed_is_one_record_that_says_so(codec):
    bomb = batch([b"", bytes(LARGEST)], codec, first=3)
    assert len(bomb) < 2**20
    [(offset, value)] = read(new(), bomb)
    assert (offset, isinstance(value, Unreadable)) == (4, True)
    assert value.startswith(b"2 records from 3: ")


def test_a_batch_of_too_many_records_is_not_read():
    [(offset, value)] = read(new(), batch([None] * (MOST + 1), ZSTD))
    assert (offset, value) == (MOST, Unreadable(b"150001 records from 0: a batch may have 150000"))


def test_a_record_that_cannot_be_read_does_not_hide_its_neighbours():
    raw = batch([b"one", b"two", b"three"], name="xx")
    second = raw.index(b"two")
    begin = raw.index(b"xx", second)
    raw[begin : begin + 2] = b"\xff\xfe"
    [one, (offset, bad), three] = read(new(), signed(raw))
    assert (one, offset, three) == ((0, b"one"), 1, (2, b"three"))
    assert isinstance(bad, Unreadable)
    assert bad.startswith(b"the record: ")


@pytest.mark.parametrize("codec", [PLAIN, GZIP, SNAPPY, LZ4, ZSTD])
def test_whatever_is_broken_something_is_told(codec):
    """Each byte after the header in turn, with the right checksum."""
    whole = batch([b"one" * 9, b"two" * 9], codec, name="name")
    for at in range(DefaultRecordBatch.HEADER_STRUCT.size, len(whole)):
        raw = bytearray(whole)
        raw[at] ^= 0xFF
        assert len(read(new(), signed(raw))) in (1, 2)


def test_a_wrong_checksum_and_an_unknown_compression_are_told():
    raw = batch([b"one"])
    raw[-1] ^= 1
    assert read(new(), raw) == [(0, b"1 records from 0: the checksum is wrong")]
    raw = batch([b"one"])
    struct.pack_into(">h", raw, DefaultRecordBatch.ATTRIBUTES_OFFSET, 7)
    assert read(new(), signed(raw)) == [(0, b"1 records from 0: compression 7 is unknown")]


def test_a_poll_reads_no_further_batch_once_it_has_enough():
    reading = new()
    many = [batch([bytes(POLL // 2)], ZSTD, first=first) for first in range(9)]
    assert [offset for offset, _ in read(reading, *many)] == [0, 1]
    assert read(reading, batch([b"{}"]), at=THERE) == []
    reading.begin()
    assert read(reading, *many[2:]) == [], "its turn was before"
    assert read(reading, batch([b"{}"]), at=THERE) == [(0, b"{}")]
    reading.begin()
    assert [offset for offset, _ in read(reading, *many[2:])] == [2, 3]


def test_many_small_records_are_as_much_as_few_large_ones():
    reading = new()
    small = POLL // OVERHEAD // 4
    many = [batch([None] * small, ZSTD, first=small * number) for number in range(9)]
    assert len(read(reading, *many)) == 4 * small


def test_what_is_refused_counts_as_what_it_took():
    bombs = [batch([bytes(LARGEST + 1)], ZSTD, first=first) for first in range(3)]
    assert len(read(new(), *bombs)) == 1
