#include "base/settings/assign.h"

#include <algorithm>
#include <string>
#include <vector>

#include "base/settings/nearest.h"
#include "base/settings/setting_text.h"

namespace rerank {

Status no_such_setting(std::string_view name) {
  std::vector<std::string_view> names;
  Options library;
  ServerOptions server;
  const auto add = [&](const OptionInfo& info, auto&) { names.emplace_back(info.name); };
  visit_options(library, add);
  visit_options(server, add);
  const std::string_view meant = nearest(name, names);
  return absl::InvalidArgumentError(str_cat(
      name, ": no such setting", meant.empty() ? " (see docs/options.md)" : str_cat("; did you mean ", meant, "?")));
}

Status assign_setting(Options& options, std::string_view name, std::string_view value) {
  std::string flag(name);
  std::replace(flag.begin(), flag.end(), '_', '-');
  bool known = false;
  std::string wrong;
  visit_options(options, [&](const OptionInfo& info, auto& field) {
    if (flag != info.name) return;
    known = true;
    wrong = read_setting(info, value, field);
  });
  if (!known) return no_such_setting(name);
  return wrong.empty() ? ok_status() : absl::InvalidArgumentError(wrong_value(flag, value, wrong));
}

}  // namespace rerank
