"""Of a run with `data.spoil`: how many of the first suspects are spoiled, and how many there would be by other rankings.

    python bench/influence/found.py RUN
"""
import sqlite3
import sys
from pathlib import Path

store = sqlite3.connect(Path(sys.argv[1]) / "store.db")
found = dict(store.execute("SELECT name, value FROM metric WHERE name LIKE 'suspects/%'"))
for name, value in sorted(found.items()):
    print(f"{name:40} {value:.3f}")
precision = {name.split("precision@")[0]: value for name, value in found.items() if "/precision@" in name}
assert precision["suspects/"] > 2 * found["suspects/chance"], "no better than chance"
assert precision["suspects/"] > precision["suspects/by_loss/"], "no better than by loss alone"
