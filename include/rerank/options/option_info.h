// What a setting is called and what it means. Each stands directly under the field that it describes.
#pragma once

namespace rerank {

struct OptionInfo {
  const char* name;                   // flag `--name`, configuration key `name`, environment variable RERANKD_NAME
  const char* value;                  // placeholder in the help text
  const char* group;                  // heading in the help text and in docs/options.md
  const char* help;                   // what it does and when to change it
  const char* environment = nullptr;  // another environment variable than RERANKD_NAME, where the field has one
};

}  // namespace rerank
