"""Cases for .venv-clients-stores: clients of data stores. LanceDB and Milvus Lite are the store; the others talk to a stand-in of theirs
(stand_ins.py), which asks rerankd as the store does."""
import os
import sys
import tempfile

import stand_ins
from real_client import MODEL, QUERY, TEXTS, TOP_N, client, main, place


@client("Elasticsearch, `hugging_face`", "elasticsearch", "/rerank", "index, relevance_score, text; its exceptions", stand_in="Elasticsearch")
def elasticsearch(url, key):
    from elasticsearch import Elasticsearch
    with stand_ins.Elasticsearch() as store, Elasticsearch(store.url) as asked:
        asked.inference.put_hugging_face(task_type="rerank", huggingface_inference_id="rerankd", service="hugging_face",
                                         service_settings={"url": url, "api_key": key})
        answer = asked.inference.rerank(inference_id="rerankd", query=QUERY, input=TEXTS, return_documents=True, top_n=TOP_N)
        assert all(r["text"] == TEXTS[r["index"]] for r in answer["rerank"]), answer
        return [(r["index"], r["relevance_score"]) for r in answer["rerank"]]


@client("OpenSearch, a connector", "opensearch-py", "/v1/rerank", "a score for each document", stand_in="OpenSearch")
def opensearch(url, key):
    from opensearchpy import OpenSearch
    connector = {
        "name": "rerankd", "version": "1", "protocol": "http", "credential": {"key": key},
        "actions": [{"action_type": "predict", "method": "POST", "url": url, "headers": {"Authorization": "Bearer ${credential.key}"},
                     "request_body": '{"query": "${parameters.query}", "documents": ${parameters.documents}}',
                     "pre_process_function": "connector.pre_process.cohere.rerank",
                     "post_process_function": "connector.post_process.cohere.rerank"}]}
    with stand_ins.OpenSearch() as store, OpenSearch([store.url]) as asked:
        made = asked.plugins.ml.create_connector(body=connector)["connector_id"]
        model = asked.plugins.ml.register_model(body={"name": "rerankd", "function_name": "remote", "connector_id": made})["model_id"]
        answer = asked.plugins.ml.predict(algorithm_name="text_similarity", model_id=model, body={"query_text": QUERY, "text_docs": TEXTS})
        scores = [result["output"][0]["data"][0] for result in answer["inference_results"]]
        return sorted(enumerate(scores), key=lambda pair: -pair[1])[:TOP_N]


# 100 candidates are 4 calls; what the others score does not change the first ones' scores.
@client("Weaviate, `reranker-transformers`", "weaviate-client", "", "objects in order, metadata.rerank_score", key=False, stand_in="Weaviate")
def weaviate_transformers(url, _):
    import weaviate
    from weaviate.classes.config import Configure, DataType, Property
    from weaviate.classes.query import MetadataQuery, Rerank
    texts = TEXTS + [f"Number {i} of some 95 more." for i in range(95)]
    with stand_ins.Weaviate(url, texts) as store:
        port = int(store.url.rsplit(":", 1)[1])
        with weaviate.connect_to_custom("127.0.0.1", port, False, "127.0.0.1", store.grpc_port, False, skip_init_checks=True) as asked:
            notes = asked.collections.create("Note", reranker_config=Configure.Reranker.transformers(),
                                             properties=[Property(name="text", data_type=DataType.TEXT)])
            found = notes.query.near_vector([0.0, 1.0], limit=TOP_N, rerank=Rerank(prop="text", query=QUERY),
                                            return_metadata=MetadataQuery(score=True)).objects
            assert store.calls == 4, store.calls
            return [(place(o.properties["text"]), o.metadata.rerank_score) for o in found]


@client("LanceDB CohereReranker", "lancedb", "", "rows in order, _relevance_score; its address in CO_API_URL")
def lancedb_cohere(url, key):
    import lancedb
    from lancedb.rerankers import CohereReranker
    os.environ["CO_API_URL"] = url  # cohere reads it when it is imported
    for name in [name for name in sys.modules if name.split(".")[0] == "cohere"]:
        del sys.modules[name]
    with tempfile.TemporaryDirectory() as folder:
        table = lancedb.connect(folder).create_table("notes", [{"text": text, "vector": [float(i), 1.0]} for i, text in enumerate(TEXTS)])
        reranker = CohereReranker(model_name=MODEL, api_key=key, top_n=TOP_N)
        rows = table.search([0.0, 1.0]).rerank(reranker, query_string=QUERY).limit(len(TEXTS)).to_list()
        return [(place(row["text"]), row["_relevance_score"]) for row in rows]


# In a search Milvus Lite takes no address of a reranker: this is its provider by itself.
@client("Milvus Lite CohereProvider", "milvus-lite", "/v2", "index, relevance_score")
def milvus_lite(url, key):
    from milvus_lite.rerank.cohere_provider import CohereProvider
    return [(r.index, r.relevance_score) for r in CohereProvider(MODEL, key, url).rerank(QUERY, TEXTS, TOP_N)]


if __name__ == "__main__":
    main()
