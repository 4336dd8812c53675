// rerankd convert --to stablehlo and --to pjrt: a model as programs for XLA, as text or compiled.
#pragma once

#include <string>

#include "convert/writers.h"
#include "model/weights.h"
#include "rerank/options.h"

namespace rerank::cli {

struct ProgramsToWrite {
  std::string out;
  std::string topology;   // of pjrt: a device that need not be there; empty: this machine's
  bool portable = false;  // of pjrt: for servers that use several devices
};

// Text and weights into the folder `out`.
Status write_program_texts(const model::Model& model, const Options& options, const ProgramsToWrite& wanted,
                           convert::ConvertOptions write);

// Compiled programs into the folder `out`, which is a --pjrt-cache, with report.json.
Status compile_programs(const model::Model& model, const Options& options, const ProgramsToWrite& wanted,
                        Precision precision);

}  // namespace rerank::cli
