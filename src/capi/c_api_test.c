/* librerank.so as a C program meets it. Argument: a recorded model's folder. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rerank/c_api.h"

#define CHECK(condition)                                                 \
  do {                                                                   \
    if (!(condition)) {                                                  \
      fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);    \
      exit(1);                                                           \
    }                                                                    \
  } while (0)

static rerank_text text(const char* s) {
  rerank_text t = {s, strlen(s)};
  return t;
}

static void tell(void* context, size_t done, size_t total) {
  CHECK(done <= total);
  *(size_t*)context = done;
}

int main(int argc, char** argv) {
  CHECK(argc == 3);
  char* error = NULL;

  const rerank_setting wrong[] = {{"modle", "x"}};
  CHECK(rerank_open(wrong, 1, &error) == NULL && strstr(error, "modle: no such setting") != NULL);
  rerank_free(error);
  const rerank_setting no_number[] = {{"threads", "many"}};
  CHECK(rerank_open(no_number, 1, NULL) == NULL);
  const rerank_setting missing[] = {{"model", "/no/such/folder"}};
  CHECK(rerank_open(missing, 1, &error) == NULL && strstr(error, "/no/such/folder") != NULL);
  rerank_free(error);

  const rerank_setting settings[] = {{"model", argv[1]}, {"precision", "fp32"}, {"threads", "1"}};
  rerank_model* model = rerank_open(settings, 3, &error);
  CHECK(model != NULL && error == NULL);
  CHECK(strncmp(rerank_engine(model), "cpu fp32 ", 9) == 0 && strlen(rerank_name(model)) > 0);

  const rerank_text query = text("what is rain?");
  const rerank_text documents[] = {text("rain falls"), text(""), text("cats and dogs"), text("rain falls")};
  rerank_result results[4];
  size_t count = 4;
  CHECK(rerank_rank(model, &query, documents, 4, 0, results, &count, &error) == 0 && count == 4);
  for (size_t i = 0; i + 1 < count; ++i) CHECK(results[i].logit >= results[i + 1].logit);
  CHECK(fabsf(results[0].score - 1 / (1 + expf(-results[0].logit))) < 1e-6f);

  const rerank_text queries[] = {query, query, query, query};
  float logits[4];
  CHECK(rerank_predict(model, queries, documents, 4, logits, &error) == 0);
  CHECK(logits[0] == logits[3]);
  for (size_t i = 0; i < count; ++i) CHECK(logits[results[i].index] == results[i].logit);
  CHECK(rerank_predict(model, queries, documents, 0, logits, NULL) == 0);

  size_t told = 0;
  CHECK(rerank_predict_with(model, queries, documents, 4, logits, NULL, tell, &told, &error) == 0 && told == 4);
  rerank_stop* stop = rerank_stop_new();
  CHECK(rerank_predict_with(model, queries, documents, 4, logits, stop, NULL, NULL, &error) == 0);
  rerank_stop_now(stop);
  CHECK(rerank_predict_with(model, queries, documents, 4, logits, stop, NULL, NULL, &error) == 1);
  rerank_free(error);
  CHECK(rerank_rank_with(model, &query, documents, 4, 0, results, &count, stop, &error) == 1);
  rerank_free(error);
  rerank_stop_free(stop);

  count = 1;
  CHECK(rerank_rank(model, &query, documents, 4, 2, results, &count, &error) == 3);
  rerank_free(error);
  count = 2;
  CHECK(rerank_rank(model, &query, documents, 4, 2, results, &count, NULL) == 0 && count == 2);

  /* Another one beside it, which goes on when the first is closed. */
  const rerank_setting more[] = {{"model", argv[2]}, {"served-model-name", "second"}};
  rerank_model* second = rerank_open_beside(model, more, 2, &error);
  CHECK(second != NULL && strcmp(rerank_name(second), "second") == 0);
  float others[4];
  CHECK(rerank_predict(second, queries, documents, 4, others, NULL) == 0 && others[0] != logits[0]);
  CHECK(rerank_predict(model, queries, documents, 4, others, NULL) == 0 && others[0] == logits[0]);
  CHECK(rerank_open_beside(model, wrong, 1, NULL) == NULL);
  rerank_close(model);
  CHECK(rerank_predict(second, queries, documents, 4, others, NULL) == 0);
  rerank_close(second);
  puts("c_api_test: ok");
  return 0;
}
