// What models are called: their names and aliases, and which model a name means. Pure; not thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "rerank/catalog.h"

namespace rerank::serve {

// As names are compared: in lower case, without what follows "___" (clients append their provider's name so), without
// blanks around it.
std::string plain_name(std::string_view name);

// InvalidArgument, saying why, where `name` cannot be one: it is empty, longer than 200 bytes, or holds what a header
// cannot carry.
Status check_name(std::string_view name);

// Shares in percent, which add up to 100, as parts of 1; others as they are.
std::vector<AliasPart> normal_shares(std::vector<AliasPart> parts);

class Names {
 public:
  // A model's own name, and other names that mean it while no model is called so (its hub id). InvalidArgument: another
  // model or an alias has this name.
  Status add_model(const std::string& name, const std::vector<std::string>& other_names);
  void remove_model(const std::string& name);

  // See Catalog::set_alias().
  Status set_alias(std::string_view alias, std::vector<AliasPart> parts);

  bool is_model(std::string_view name) const { return models_.contains(plain_name(name)); }
  // The model's name as it was added; empty: none.
  std::string model_of(std::string_view name) const;
  // The name of the model that `name` means for this query; empty: nobody is called so.
  std::string find(std::string_view name, std::string_view query) const;
  // The alias that names the model; empty: none does.
  std::string alias_of(const std::string& model) const;
  std::vector<std::string> aliases_of(const std::string& model) const;
  std::vector<AliasReport> aliases() const;

 private:
  struct Alias {
    std::string name;  // as it was given
    std::vector<AliasPart> parts;
  };
  std::map<std::string, std::string> models_;                    // by plain name
  std::map<std::string, std::vector<std::string>> other_names_;  // by plain name: the models that it may mean
  std::map<std::string, Alias> aliases_;                         // by plain name
};

}  // namespace rerank::serve
