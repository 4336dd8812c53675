// What text-embeddings-inference and infinity are started with, understood by `rerankd serve`, so that a compose file
// changes only its image.
#pragma once

#include <string>
#include <vector>

namespace rerank::cli {

// Translates their flags in `words` (the command line without the program, in order), where the command is serve: names
// that are not ours, and the command itself where they have none ("--model-id X", "v2 --model-id X"). Then their
// environment variables, where ours are not set: MODEL_ID and, with it, their other names; INFINITY_.... Returns what
// to log: what was taken as what, and what cannot be honoured and why.
std::vector<std::string> take_other_servers_settings(std::vector<std::string>& words);

}  // namespace rerank::cli
