// The models that `rerankd serve` is told to serve: --model, once for each, or [[models]] of the configuration file.
//
//   [[models]]
//   name = "fast"                # default: made from model
//   model = "/models/mini"
//   aliases = ["prod"]
//   weight = 2                   # of compute time
//   cache-share = 0.25           # of the caches, for it alone
//   precision = "int8"           # and any other setting of the groups Model, Engine, Texts and Limits of a model;
//                                # what is not said is as in the rest of the file
//   [aliases]
//   canary = { v1 = 90, v2 = 10 }   # shares; or a name: prod = "v1"
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "cli/settings.h"
#include "serve/model_catalog.h"

namespace rerank::cli {

// `models`: the values of --model, each DIR, ID or NAME=DIR|ID; `base`: the settings that models have where nothing
// else is said. Errors name the file and the line.
Result<serve::CatalogPlan> read_model_list(const std::vector<std::string>& models, const std::string& config_path,
                                           const Options& base);

// One model of settings by their names, as [[models]] has them, and as POST /admin/models does.
using ModelSettings = std::vector<std::pair<std::string, std::string>>;
Result<ModelSpec> make_spec(const ModelSettings& settings, const std::vector<std::string>& aliases,
                            const Options& base);

// All that a model is loaded by, as text: differs where it has to be loaded anew. And all that a list says.
std::string describe(const ModelSpec& spec);
std::string describe(const serve::CatalogPlan& plan);

}  // namespace rerank::cli
