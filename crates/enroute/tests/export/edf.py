"""Reads exported EDF+ files with pyedflib and holds every sample, scale and start
against the record that they came from."""

import pathlib
import sys

import numpy as np
import pyedflib
import wfdb

INVALID = {"16": -32768, "32": -(2**31), "80": -128, "212": -2048}

exported, *originals = sys.argv[1:]
names = pathlib.Path(exported, "RECORDS").read_text().split()
[name] = [n for n in names if "_w" in n]
records = [
    wfdb.rdrecord(p, physical=False, smooth_frames=False, ignore_skew=True)
    for p in originals
]
total, steps = 0, 0
with pyedflib.EdfReader(str(pathlib.Path(exported, name + ".edf"))) as edf:
    assert edf.signals_in_file == records[0].n_sig
    for index in range(edf.signals_in_file):
        theirs = []
        for record in records:
            samples = np.asarray(record.e_d_signal[index]).astype("int64")
            invalid = INVALID[record.fmt[index]]
            theirs.append(np.where(samples == invalid, -32768, samples))
        theirs = np.concatenate(theirs)
        ours = edf.readSignal(index, digital=True)
        # The last data record is filled up.
        assert np.all(ours[len(theirs) :] == -32768), index
        assert np.array_equal(ours[: len(theirs)], theirs), index
        record = records[0]
        rate = record.fs * record.samps_per_frame[index]
        assert abs(edf.getSampleFrequency(index) - rate) < 1e-6, index
        assert edf.getLabel(index) == record.sig_name[index], index
        # The physical ends say the same as gain and baseline.
        for digital, physical in (
            (edf.getDigitalMinimum(index), edf.getPhysicalMinimum(index)),
            (edf.getDigitalMaximum(index), edf.getPhysicalMaximum(index)),
        ):
            value = (digital - record.baseline[index]) / record.adc_gain[index]
            assert abs(value - physical) < 1e-3, (index, value, physical)
        total += len(theirs)
    if records[0].base_datetime:
        assert edf.getStartdatetime() == records[0].base_datetime
    steps = sum(text.startswith("alert ") for text in edf.readAnnotations()[2])
print(1, total, steps)
