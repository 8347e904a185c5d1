"""Reads exported WFDB records and the records that they came from with the wfdb
package, and holds every sample, name, scale and start against each other."""

import pathlib
import sys

import numpy as np
import wfdb

INVALID = {"16": -32768, "32": -(2**31), "80": -128, "212": -2048}
MISSING = 10**9


def read(path):
    record = wfdb.rdrecord(
        str(path), physical=False, smooth_frames=False, ignore_skew=True
    )
    signals = []
    for samples, fmt in zip(record.e_d_signal, record.fmt):
        samples = np.asarray(samples).astype("int64")
        signals.append(np.where(samples == INVALID[fmt], MISSING, samples))
    return record, signals


def together(paths):
    records = [read(path) for path in paths]
    signals = [np.concatenate(parts) for parts in zip(*(s for _, s in records))]
    return records[0][0], signals


kind, exported, *originals = sys.argv[1:]
names = pathlib.Path(exported, "RECORDS").read_text().split()
wanted = [pathlib.Path(exported, n) for n in names if f"_{kind}" in n]
new, found = together(wanted)
old, expected = together(originals)
assert len(found) == len(expected), (new.sig_name, old.sig_name)
for index, (ours, theirs) in enumerate(zip(found, expected)):
    name = old.sig_name[index]
    if kind == "n":
        # Played with zeros as missing.
        theirs = np.where(theirs == 0, MISSING, theirs)
    assert len(ours) == len(theirs), (name, len(ours), len(theirs))
    assert np.array_equal(ours, theirs), name
    assert new.sig_name[index] == name, (new.sig_name, old.sig_name)
    assert new.adc_gain[index] == old.adc_gain[index], name
    assert new.baseline[index] == old.baseline[index], name
    assert (new.skew[index] or 0) == (old.skew[index] or 0), name
    assert new.samps_per_frame[index] == old.samps_per_frame[index], name
assert abs(new.fs / old.fs - 1) < 1e-9, (new.fs, old.fs)
# A segment may leave its time to the record that it is part of.
assert old.base_datetime in (None, new.base_datetime), (new.base_datetime, old.base_datetime)
notes = []
for path in wanted:
    if path.with_suffix(".evt").exists():
        notes += wfdb.rdann(str(path), "evt").aux_note
print(len(wanted), sum(map(len, found)), sum(n.startswith("alert ") for n in notes))
