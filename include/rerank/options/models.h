// Several models in one process: how requests choose, and what is kept in memory. The models themselves are named by
// --model, once for each, or by [[models]] of the configuration file (docs/models.md).
#pragma once

#include <cstddef>
#include <string>

#include "rerank/choice.h"
#include "rerank/options/option_info.h"

namespace rerank {

struct ModelsOptions {
  UnknownModel unknown_model = UnknownModel::kDefault;
  static constexpr OptionInfo kUnknownModel{"unknown-model", "WHAT", "Models",
                                            "What answers a request for a `model` that is not served: default (the "
                                            "first model: many clients send any name) or "
                                            "error (404)."};

  size_t idle_unload_s = 0;
  static constexpr OptionInfo kIdleUnloadS =
      OptionInfo{"idle-unload-s", "S", "Models",
                 "Unload a model that has had no request for so long; the next request to it waits until it is loaded "
                 "again. 0: models stay."}
          .within(0, 31536000);

  std::string cascade;
  static constexpr OptionInfo kCascade{
      "cascade", "[NAME=]MODEL[:N],...", "Models",
      "fast:100,good:20: a request's first 100 documents are ranked by the model `fast`, and the best 20 of them by "
      "`good`, as one request. Served as the model NAME (\"cascade\"), which is the default then."};

  std::string shadow_model;
  static constexpr OptionInfo kShadowModel{
      "shadow-model", "NAME=OTHER", "Models",
      "Score the sample of --shadow-rate of what the model NAME answers again by the model OTHER, to compare them on "
      "your own traffic before you switch; see docs/metrics.md."};

  std::string admin_key;
  static constexpr OptionInfo kAdminKey{
      "admin-key", "KEY", "Models",
      "Serve POST /admin/models at --read-only-metrics-address, for clients that send this key: it loads, unloads and "
      "renames models. 16 letters or more; better set as RERANKD_ADMIN_KEY. Empty: no client may."};

  template <class O, class Visit>
  static void visit(O& options, Visit&& visit_field) {
    visit_field(kUnknownModel, options.unknown_model);
    visit_field(kIdleUnloadS, options.idle_unload_s);
    visit_field(kCascade, options.cascade);
    visit_field(kShadowModel, options.shadow_model);
    visit_field(kAdminKey, options.admin_key);
  }
};

}  // namespace rerank
