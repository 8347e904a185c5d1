"""Reads an exported MCAP file with the mcap package, by the descriptors inside it,
and holds every sample against the record that it came from."""

import sys

import numpy as np
import wfdb
from mcap.reader import make_reader
from mcap_protobuf.decoder import DecoderFactory

INVALID = {"16": -32768, "32": -(2**31), "80": -128, "212": -2048}
MISSING = 10**9

path, *originals = sys.argv[1:]
channels, steps, states = {}, 0, []
with open(path, "rb") as file:
    reader = make_reader(file, decoder_factories=[DecoderFactory()])
    for schema, channel, message, decoded in reader.iter_decoded_messages():
        if channel.topic == "/alerts":
            steps += 1
            assert decoded.ordinal == steps, (decoded.ordinal, steps)
        elif channel.topic == "/transfer":
            states.append(decoded)
        else:
            assert schema.name == "enroute.v1.RecordedFrame", schema.name
            header = decoded.frame.header
            observed = header.captured_at_us + header.observed_offset_us
            assert message.log_time == observed * 1000
        if channel.topic != "/waveforms":
            continue
        for wave in decoded.frame.waveforms.waveform:
            samples = np.cumsum(np.array(wave.delta, dtype="int64"))
            runs = list(wave.missing)
            for start, length in zip(runs[::2], runs[1::2]):
                samples[start : start + length] = MISSING
            key = (wave.code, wave.label)
            at, parts = channels.setdefault(key, (0, []))
            assert wave.first_sample == at, (key, wave.first_sample, at)
            channels[key] = (at + len(samples), parts + [samples])
[state] = states
found = [np.concatenate(parts) for _, parts in channels.values()]

records = [
    wfdb.rdrecord(p, physical=False, smooth_frames=False, ignore_skew=True)
    for p in originals
]
for index, ours in enumerate(found):
    theirs = []
    for record in records:
        samples = np.asarray(record.e_d_signal[index]).astype("int64")
        theirs.append(np.where(samples == INVALID[record.fmt[index]], MISSING, samples))
    assert np.array_equal(ours, np.concatenate(theirs)), records[0].sig_name[index]
assert len(found) == len(records[0].sig_name)
print(1, sum(map(len, found)), steps)
