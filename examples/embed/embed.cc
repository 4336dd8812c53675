// Ranks three documents in process, and scores pairs with a bar: see CMakeLists.txt beside it.
#include <cstdio>
#include <string>
#include <vector>

#include <rerank/rerank.hpp>

int main() {
  try {
    const auto model = rerankd::Model::open({{"threads", "1"}});  // the built-in model
    const std::vector<std::string> documents = {"Paris is in France.", "Pandas eat bamboo.", "Rain falls."};
    for (const rerankd::Ranked& best : model.rank("what do pandas eat?", documents, 2))
      std::printf("%.3f %s\n", best.score, documents[best.index].c_str());

    const std::vector<std::string> queries(documents.size(), "where is Paris?");
    const auto bar = [](std::size_t done, std::size_t total) { std::fprintf(stderr, "\r%zu of %zu", done, total); };
    for (const float logit : model.predict(queries, documents, nullptr, bar)) std::printf("%.2f\n", logit);
  } catch (const rerankd::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
