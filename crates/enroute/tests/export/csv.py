"""Reads the exported tables with pandas and holds the values of every vital sign
against the record that they came from."""

import pathlib
import sys

import numpy as np
import pandas as pd
import wfdb

exported, original = sys.argv[1:]
[path] = pathlib.Path(exported).glob("*_numerics.*")
read = pd.read_parquet if path.suffix == ".parquet" else pd.read_csv
table = read(path)
record = wfdb.rdrecord(original)
ids = "hr abp_sys abp_dia abp_mean pr rr_imp spo2 nibp_sys nibp_dia nibp_mean".split()
for index, name in enumerate(ids):
    rows = table[table["id"] == name]
    expected = record.p_signal[:, index]
    expected = np.where(expected == 0, np.nan, expected)
    found = rows["value"].to_numpy(dtype="float64")
    assert len(found) == len(expected), (name, len(found), len(expected))
    assert np.array_equal(found, expected, equal_nan=True), name
    missing = rows["state"].to_numpy() == "missing"
    assert np.array_equal(missing, np.isnan(expected)), name
[path] = pathlib.Path(exported).glob("*_alerts.*")
alerts = read(path)
assert list(alerts["ordinal"]) == list(range(1, len(alerts) + 1))
print(len(table), 0, len(alerts))
