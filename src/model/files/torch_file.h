// pytorch_model.bin and other files of torch.save(): a dictionary of tensors, as a zip file (torch 1.6 and later) or in
// the form before that. Nothing of them is executed (model/files/pickle.h).
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "model/safetensors.h"

namespace rerank::model {

// Adds the floating-point tensors of `file`, which stays mapped as long as they are used. Those that lie row by row are
// views of it; others are copied into `owned`, which takes no more memory than twice the file has. Buffers of integers
// are passed over. Errors say what is wrong with the file, without its name.
Status add_torch_tensors(const MappedFile& file, std::map<std::string, TensorView>& tensors,
                         std::vector<std::vector<std::byte>>& owned);

}  // namespace rerank::model
