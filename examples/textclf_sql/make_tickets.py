"""Makes a database of two tables from a CSV of tickets: python make_tickets.py tickets.csv tickets.db."""

import csv
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

source, target = map(Path, sys.argv[1:])
if target.exists():
    sys.exit(f"{target} is already there; remove it, or name another")
with source.open(encoding="utf-8", newline="") as file, closing(sqlite3.connect(target)) as database:
    tickets = list(csv.DictReader(file))
    teams = {name: number for number, name in enumerate(sorted({ticket["team"] for ticket in tickets}))}
    database.execute("CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT NOT NULL)")
    database.execute("CREATE TABLE tickets (ticket TEXT PRIMARY KEY, customer TEXT, text TEXT, team INTEGER)")
    database.executemany("INSERT INTO teams (name, id) VALUES (?, ?)", teams.items())
    for ticket in tickets:
        row = (ticket["ticket"], ticket["customer"], ticket["text"], teams[ticket["team"]])
        database.execute("INSERT INTO tickets VALUES (?, ?, ?, ?)", row)
    database.commit()
