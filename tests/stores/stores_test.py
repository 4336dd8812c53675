"""examples/stores against a server: PostgreSQL with PL/Python from psql, SQLite, and DuckDB and LanceDB where .venv-clients has them.

RERANKD, RERANKD_SOURCE_DIR: the program and the checkout. What is not installed is skipped, with what it would need.
"""
import glob
import os
import pathlib
import pwd
import subprocess
import sys
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ["RERANKD_SOURCE_DIR"]).resolve()
sys.path.insert(0, str(SOURCE / "tests/support"))
from rerankd_server import Server  # noqa: E402

EXAMPLES = SOURCE / "examples/stores"
POSTGRES = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
PLPYTHON = glob.glob("/usr/share/postgresql/*/extension/plpython3u.control")
CLIENTS = SOURCE / ".venv-clients/bin/python"
KEY = "key-of-the-stores"


def run(*command, **more):
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=120, **more)
    if done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout


def has(package):
    return CLIENTS.exists() and subprocess.run([CLIENTS, "-c", f"import {package}"], capture_output=True).returncode == 0


class StoresTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.server = Server("--model", SOURCE / "models/rerankd-mini-en").__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)

    def test_sqlite(self):
        lines = run(sys.executable, EXAMPLES / "rerank_sqlite.py", self.server.url).splitlines()
        self.assertTrue(lines[0].endswith("Pandas eat bamboo, and little else."), lines)
        self.assertEqual(lines[-1], "best: Pandas eat bamboo, and little else.")

    @unittest.skipUnless(has("duckdb"), "no duckdb in .venv-clients: make clients")
    def test_duckdb(self):
        self.assertIn("Pandas eat bamboo.", run(CLIENTS, EXAMPLES / "rerank_duckdb.py", self.server.url).splitlines()[0])

    @unittest.skipUnless(has("lancedb"), "no lancedb in .venv-clients: make clients")
    def test_lancedb(self):
        lines = run(CLIENTS, EXAMPLES / "rerank_lancedb.py", self.server.url).splitlines()
        self.assertEqual(len(lines), 3)
        self.assertIn("Pandas eat bamboo.", lines[0])


@unittest.skipUnless(POSTGRES and PLPYTHON, "needs Debian's postgresql and postgresql-plpython3-15")
class PostgresTest(unittest.TestCase):
    """A cluster of its own, on a Unix socket; PostgreSQL does not run as root."""

    @classmethod
    def setUpClass(cls):
        cls.user = []
        cls.folder = tempfile.TemporaryDirectory(prefix=f"stores-{os.getpid()}-", dir="/var/tmp")
        if os.geteuid() == 0:
            try:
                owner = pwd.getpwnam("postgres")
            except KeyError:
                raise unittest.SkipTest("no user postgres")
            os.chown(cls.folder.name, owner.pw_uid, owner.pw_gid)
            cls.user = ["setpriv", f"--reuid={owner.pw_uid}", f"--regid={owner.pw_gid}", "--clear-groups"]
        cls.data = pathlib.Path(cls.folder.name) / "data"
        run(*cls.user, f"{POSTGRES[-1]}/initdb", "-D", cls.data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8", cwd="/")
        run(*cls.user, f"{POSTGRES[-1]}/pg_ctl", "-D", cls.data, "-w", "-l", cls.data / "log", "-o",
            f"-c listen_addresses='' -c unix_socket_directories={cls.folder.name} -c fsync=off", "start", cwd="/")
        cls.server = Server("--model", SOURCE / "models/rerankd-mini-en", environment={"RERANKD_API_KEY": KEY}).__enter__()
        cls.sql((EXAMPLES / "postgres.sql").read_text())
        cls.sql(f"ALTER DATABASE postgres SET rerankd.url = '{cls.server.url}'; ALTER DATABASE postgres SET rerankd.key = '{KEY}'")

    @classmethod
    def tearDownClass(cls):
        cls.server.__exit__(None, None, None)
        run(*cls.user, f"{POSTGRES[-1]}/pg_ctl", "-D", cls.data, "-m", "immediate", "stop", cwd="/")
        cls.folder.cleanup()

    @classmethod
    def sql(cls, text):
        return run(f"{POSTGRES[-1]}/psql", "-h", cls.folder.name, "-U", "postgres", "-At", "-v", "ON_ERROR_STOP=1", "-c", text, cwd="/")

    def test_ranks_rows_of_a_table(self):
        self.sql("CREATE TABLE chunks (id int, body text);"
                 "INSERT INTO chunks VALUES (7, 'Paris is in France.'), (8, 'Pandas eat bamboo.'), (9, NULL)")
        found = self.sql("WITH c AS (SELECT id, body, row_number() OVER (ORDER BY id) AS place FROM chunks) "
                         "SELECT id FROM rerank('what do pandas eat?', ARRAY(SELECT body FROM c ORDER BY place)) r "
                         "JOIN c USING (place) ORDER BY score DESC")
        self.assertEqual(found.split()[0], "8")
        self.assertEqual(len(found.split()), 3)

    def test_scores_are_the_servers(self):
        rows = self.sql("SELECT place, score FROM rerank('what do pandas eat?', ARRAY['Paris is in France.', 'Pandas eat bamboo.'])")
        answer = self.server.post("/rerank", {"query": "what do pandas eat?", "texts": ["Paris is in France.", "Pandas eat bamboo."]},
                                  headers={"Authorization": f"Bearer {KEY}"})
        ours = [tuple(map(float, row.split("|"))) for row in rows.split()]
        self.assertEqual([int(place) for place, _ in ours], [row["index"] + 1 for row in answer])
        for (_, score), row in zip(ours, answer):
            self.assertAlmostEqual(score, row["score"], places=5)

    def test_nothing_and_null(self):
        self.assertEqual(self.sql("SELECT * FROM rerank('q', ARRAY[]::text[])"), "")
        self.assertEqual(self.sql("SELECT * FROM rerank(NULL, ARRAY['a'])"), "")

    def test_an_error_says_what_the_server_says(self):
        with self.assertRaisesRegex(AssertionError, "rerankd: .*more than the 10000"):
            self.sql("SELECT * FROM rerank('q', array_fill('a'::text, ARRAY[10001]))")


if __name__ == "__main__":
    unittest.main()
