// Programs compiled before they are needed: for a device of this machine, or for one that is not there, which a plugin
// knows by the name of its topology.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/pjrt/client.h"
#include "engine/pjrt/program_cache.h"
#include "engine/pjrt/shapes.h"
#include "model/architecture.h"

namespace rerank::engine::pjrt {

struct AheadOptions {
  std::string plugin;     // as --pjrt-plugin
  std::string topology;   // "v5e:1x1"; empty: the first device of this machine
  std::string options;    // of the topology or the client, "K=V;..."
  bool portable = false;  // for servers that use several devices of one plugin
  Element matrices = Element::kBF16;
  std::vector<Rectangle> shapes;
  std::string folder;  // of ProgramCache
  size_t max_bytes = 0;
};

struct AheadProgram {
  Rectangle shape;
  double seconds = 0;  // of compiling
  ProgramCost cost;
  uint64_t bytes = 0;            // serialized
  uint64_t optimized_bytes = 0;  // of the optimized program that was looked at; 0: the plugin does not show it
  bool collectives = false;      // it speaks with other devices, which no program of one device should
  std::string file;
};

struct AheadReport {
  std::string plugin, versions, platform, platform_version, device;
  size_t devices = 0;
  std::vector<AheadProgram> programs;
};

// Compiles all shapes, one after another, and keeps them in the folder. Errors are the plugin's, with the shape: what
// does not fit into the device's memory is refused with figures. `done` is called after each.
Result<AheadReport> compile_ahead(const model::Architecture& architecture, const AheadOptions& options,
                                  const std::function<void(size_t done, size_t all)>& done);

// As a JSON object, for files.
std::string report_json(const AheadReport& report);

}  // namespace rerank::engine::pjrt
