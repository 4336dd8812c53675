// Several backends as one: each batch is shared out so that all end together, and what fails on one is done by the
// others. The backends may be of different kinds: a CPU beside GPUs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/backend.h"

namespace rerank::engine {

struct Device {
  std::string name;  // as --devices has it: "cpu", "0"
  std::unique_ptr<Backend> backend;
};

// At least one device, of one model. Each has a thread of its own for each batch that it takes at once, which lives as
// long as the result. Together they take as many batches as the one that takes the most.
//
// A sequence goes to the device that would end it first, by the tokens per second each has shown; contests are shared
// out too, and keep their best on every device. A device whose batch fails, other than for want of memory, is taken out
// for good, as long as another is left; a batch fails when there is none that computes it.
std::unique_ptr<Backend> join_devices(std::shared_ptr<const model::Model> model, std::vector<Device> devices);

// "cpu,0,1" -> its names; InvalidArgument for what is no device, or given twice.
Result<std::vector<std::string>> parse_devices(const std::string& list);

}  // namespace rerank::engine
