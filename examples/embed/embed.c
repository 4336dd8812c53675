/* Ranks three documents in process: cc embed.c $(pkg-config --cflags --libs rerank) */
#include <stdio.h>
#include <string.h>

#include <rerank/c_api.h>

static rerank_text text(const char* s) {
  rerank_text t = {s, strlen(s)};
  return t;
}

int main(void) {
  char* error = NULL;
  rerank_model* model = rerank_open(NULL, 0, &error); /* the built-in model */
  if (model == NULL) {
    fprintf(stderr, "%s\n", error);
    rerank_free(error);
    return 1;
  }
  const rerank_text query = text("what do pandas eat?");
  const rerank_text documents[] = {text("Paris is in France."), text("Pandas eat bamboo."), text("Rain falls.")};
  rerank_result results[3];
  size_t count = 3;
  if (rerank_rank(model, &query, documents, 3, 2, results, &count, &error) != 0) {
    fprintf(stderr, "%s\n", error);
    rerank_free(error);
    rerank_close(model);
    return 1;
  }
  for (size_t i = 0; i < count; ++i) printf("%.3f %s\n", results[i].score, documents[results[i].index].data);
  rerank_close(model);
  return 0;
}
