-- Rerank inside PostgreSQL, with PL/Python (Debian: postgresql-plpython3-15; a superuser creates it). The server's address is a setting:
--   ALTER DATABASE mydb SET rerankd.url = 'http://HOST:8080';      and, with a key, rerankd.key
--   SELECT * FROM rerank('what do pandas eat?', ARRAY(SELECT body FROM chunks LIMIT 100)) LIMIT 3;
-- Two columns: place, where a document stands in the array (from 1), and score, best first.
CREATE EXTENSION IF NOT EXISTS plpython3u;
CREATE OR REPLACE FUNCTION rerank(query text, documents text[])
RETURNS TABLE (place int, score real) LANGUAGE plpython3u STABLE STRICT AS $$
    import json, urllib.error, urllib.request
    def setting(name, default):
        rows = plpy.execute("SELECT current_setting(%s, true) AS value" % plpy.quote_literal(name))
        return rows[0]["value"] or default
    if not documents:
        return []
    body = {"query": query, "texts": [text or "" for text in documents]}
    headers = {"Content-Type": "application/json", "Authorization": "Bearer " + setting("rerankd.key", "any")}
    request = urllib.request.Request(setting("rerankd.url", "http://127.0.0.1:8080") + "/rerank", json.dumps(body).encode(), headers)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return [(row["index"] + 1, row["score"]) for row in json.load(answer)]
    except urllib.error.HTTPError as error:
        plpy.error("rerankd: " + json.load(error).get("error", str(error)))
$$;
