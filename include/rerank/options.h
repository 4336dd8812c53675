// Every setting of rerankd, with its default, its meaning and when to change it. Command-line flags, environment
// variables (RERANKD_<NAME>), the configuration file and docs/options.md all come from visit_options(): a new setting
// is a field of its group in rerank/options/, the OptionInfo under it, and a line in the group's visit().
#pragma once

#include <concepts>
#include <type_traits>

#include "rerank/options/host.h"
#include "rerank/options/model.h"
#include "rerank/options/server.h"

namespace rerank {

// What the library needs: a process, and the model that it serves.
struct Options {
  HostOptions host;
  ModelOptions model;
};

template <class O, class Wanted>
concept MaybeConst = std::same_as<std::remove_const_t<O>, Wanted>;

// Calls visit_field(OptionInfo, field) for each setting, in the order of the help text.
template <MaybeConst<Options> O, class Visit>
void visit_options(O& options, Visit&& visit_field) {
  SourceOptions::visit(options.model.source, visit_field);
  EngineOptions::visit_choice(options.model.engine, visit_field);
  HostOptions::visit_compute(options.host, visit_field);
  EngineOptions::visit_details(options.model.engine, visit_field);
  TextOptions::visit(options.model.texts, visit_field);
  QueueOptions::visit(options.model.queue, visit_field);
  HostOptions::visit(options.host, visit_field);
}

template <MaybeConst<ServerOptions> O, class Visit>
void visit_options(O& options, Visit&& visit_field) {
  ServerOptions::visit(options, visit_field);
}

}  // namespace rerank
