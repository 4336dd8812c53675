"""SQLite's full-text search finds candidates, rerankd orders them: a function of SQL, `rerank(query, text)`, one pair a call, and the same for
all candidates in one request, which is what to use.

    python3 rerank_sqlite.py http://127.0.0.1:8080
"""
import json
import sqlite3
import sys
import urllib.request

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8080"


def scores(query, texts):
    """A score for each text, in their order."""
    body = {"inputs": [[query, text] for text in texts]}
    request = urllib.request.Request(URL + "/predict", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [row[0]["score"] for row in json.load(answer)]


db = sqlite3.connect(":memory:")
db.create_function("rerank", 2, lambda query, text: scores(query, [text])[0], deterministic=True)
db.execute("CREATE VIRTUAL TABLE notes USING fts5(body)")
db.executemany("INSERT INTO notes VALUES (?)", [("Pandas eat bamboo, and little else.",), ("The pandas library eats memory.",),
                                                ("Bamboo grows fast.",), ("Paris is in France.",)])

question = "what do pandas eat?"
candidates = [row[0] for row in db.execute("SELECT body FROM notes WHERE notes MATCH ? ORDER BY rank LIMIT 100", ("pandas OR eat OR bamboo",))]
for score, text in sorted(zip(scores(question, candidates), candidates), reverse=True):
    print(f"{score:.3f} {text}")

best = db.execute("SELECT body FROM notes ORDER BY rerank(?, body) DESC LIMIT 1", (question,)).fetchone()
print("best:", best[0])
