"""The case for .venv-clients-airflow: Airflow's operator, executed as a worker does, without a scheduler."""
import atexit
import json
import logging
import os
import shutil
import tempfile

os.environ["AIRFLOW_HOME"] = tempfile.mkdtemp(prefix="rerankd-airflow-")  # before airflow is imported: it writes its settings there
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

from real_client import MODEL, QUERY, TEXTS, TOP_N, client, main  # noqa: E402


@client("Airflow CohereRerankOperator", "apache-airflow-providers-cohere", "", "results: index, relevance_score")
def airflow(url, key):
    logging.disable(logging.CRITICAL)
    from airflow.providers.cohere.operators.rerank import CohereRerankOperator
    os.environ["AIRFLOW_CONN_COHERE_DEFAULT"] = json.dumps({"conn_type": "cohere", "host": url, "password": key})
    answer = CohereRerankOperator(task_id="rank", query=QUERY, documents=TEXTS, model=MODEL, top_n=TOP_N).execute({})
    assert answer["id"], answer
    return [(r["index"], r["relevance_score"]) for r in answer["results"]]


if __name__ == "__main__":
    main()
