#include "model/files/torch_file.h"

#include <bit>
#include <cstring>
#include <numeric>

#include "base/status_macros.h"
#include "base/strings.h"
#include "model/files/pickle.h"
#include "model/files/zip.h"

namespace rerank::model {
namespace {

using Kind = PickledValue::Kind;
using Bytes = std::span<const std::byte>;

struct StateDict {
  Pickled pickled;
  std::map<std::string_view, Bytes> storages;  // by key
};

Status wrong(std::string_view what) { return absl::InvalidArgumentError(std::string(what)); }

// --- the zip form: <any>/data.pkl, <any>/data/<key>, <any>/byteorder

Result<StateDict> read_zip_form(Bytes file) {
  ASSIGN_OR_RETURN(const ZipEntries entries, read_zip(file));
  constexpr std::string_view kPickle = "/data.pkl";
  std::string_view folder;
  size_t pickles = 0;
  for (const auto& [name, bytes] : entries) {
    if (!name.ends_with(kPickle) || name.find('/') != name.size() - kPickle.size()) continue;
    folder = name.substr(0, name.size() - kPickle.size());
    ++pickles;
  }
  if (pickles != 1) return wrong("not a file of torch.save(): there is no data.pkl in it, or several");
  const auto order = entries.find(str_cat(folder, "/byteorder"));
  if (order != entries.end() &&
      std::string_view(reinterpret_cast<const char*>(order->second.data()), order->second.size()) != "little")
    return absl::UnimplementedError("its byte order is not little-endian");
  StateDict state;
  Bytes pickle = entries.at(str_cat(folder, kPickle));
  ASSIGN_OR_RETURN(state.pickled, read_pickle(pickle));
  const std::string data = str_cat(folder, "/data/");
  for (const auto& [name, bytes] : entries)
    if (name.starts_with(data)) state.storages.emplace(name.substr(data.size()), bytes);
  return state;
}

// --- the old form: pickles of a magic number, a version, facts of the machine, the object and the storages' keys, then
// for each key a count of elements and the elements

bool is_magic(const PickledValue& value) {
  constexpr std::string_view kMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
  return value.kind == Kind::kLongInt && value.text == kMagic;
}

Status check_machine(const Pickled& facts) {
  if (facts.root.kind != Kind::kDict) return wrong("not a file of torch.save()");
  const auto items = facts.items(facts.root);
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (items[i].text == "little_endian" && items[i + 1].kind == Kind::kBool && items[i + 1].number == 0)
      return absl::UnimplementedError("its byte order is not little-endian");
  }
  return ok_status();
}

Result<StateDict> read_old_form(Bytes rest) {
  const auto magic = read_pickle(rest);
  if (!magic.ok() || !is_magic(magic->root))
    return wrong(
        "not a file of torch.save() (a Git LFS pointer is a short text file; files of torch before 0.4 are not read)");
  ASSIGN_OR_RETURN(const Pickled version, read_pickle(rest));
  if (version.root.kind != Kind::kInt || version.root.number != 1001)
    return absl::UnimplementedError("a version of torch.save()'s old form that is not 1001");
  ASSIGN_OR_RETURN(const Pickled facts, read_pickle(rest));
  RETURN_IF_ERROR(check_machine(facts));
  StateDict state;
  ASSIGN_OR_RETURN(state.pickled, read_pickle(rest));
  ASSIGN_OR_RETURN(const Pickled keys, read_pickle(rest));
  if (keys.root.kind != Kind::kList) return wrong("the keys of its storages are no list");
  std::map<std::string_view, const PickledStorage*> known;
  for (const PickledStorage& storage : state.pickled.storages) known[storage.key] = &storage;
  for (const PickledValue& key : keys.items(keys.root)) {
    const auto storage = known.find(key.text);
    if (key.kind != Kind::kText || storage == known.end()) return wrong("it lists a storage that no tensor has");
    uint64_t elements = 0;
    if (rest.size() < 8) return wrong("it is cut off");
    std::memcpy(&elements, rest.data(), 8);
    rest = rest.subspan(8);
    if (elements > rest.size() / storage->second->element_bytes) return wrong("it is cut off");
    const size_t bytes = elements * storage->second->element_bytes;
    if (!state.storages.emplace(key.text, rest.first(bytes)).second) return wrong("it lists a storage twice");
    rest = rest.subspan(bytes);
  }
  return state;
}

// --- tensors

bool lies_row_by_row(const PickledTensor& tensor) {
  uint64_t stride = 1;
  for (size_t i = tensor.shape.size(); i-- > 0; stride *= tensor.shape[i])
    if (tensor.shape[i] != 1 && tensor.strides[i] != stride) return false;
  return true;
}

// Copies what a view cannot say: other strides, and doubles, which become floats.
class Copies {
 public:
  Copies(std::vector<std::vector<std::byte>>& owned, size_t limit) : owned_(owned), left_(limit) {}

  Result<Bytes> copy(const PickledTensor& tensor, const PickledStorage& storage, Bytes source, size_t elements) {
    const size_t from = storage.element_bytes, to = std::min<size_t>(from, 4);
    if (elements * to > left_) return wrong("tensors that share memory would take more than twice the file's size");
    left_ -= elements * to;
    std::vector<std::byte> values(elements * to);
    std::vector<uint64_t> index(tensor.shape.size());
    uint64_t at = tensor.offset;
    for (size_t i = 0; i < elements; ++i) {
      put(source.data() + at * from, from, values.data() + i * to);
      for (size_t d = index.size(); d-- > 0;) {
        at += tensor.strides[d];
        if (++index[d] < tensor.shape[d]) break;
        at -= tensor.strides[d] * tensor.shape[d];
        index[d] = 0;
      }
    }
    owned_.push_back(std::move(values));
    return Bytes(owned_.back());
  }

 private:
  static void put(const std::byte* from, size_t bytes, std::byte* to) {
    if (bytes != 8) {
      std::memcpy(to, from, bytes);
      return;
    }
    double value;
    std::memcpy(&value, from, 8);
    const auto rounded = static_cast<float>(value);
    std::memcpy(to, &rounded, 4);
  }

  std::vector<std::vector<std::byte>>& owned_;
  size_t left_;
};

Result<TensorView> view_of(const StateDict& state, const PickledTensor& tensor, Copies& copies) {
  const PickledStorage& storage = state.pickled.storages[tensor.storage];
  const auto found = state.storages.find(storage.key);
  if (found == state.storages.end() || found->second.size() != storage.elements * storage.element_bytes)
    return wrong(str_cat("its storage ", storage.key, " is missing or has another size than it says"));
  TensorView view;
  view.dtype = storage.type == TorchType::kHalf       ? DType::kF16
               : storage.type == TorchType::kBFloat16 ? DType::kBF16
                                                      : DType::kF32;
  view.shape.assign(tensor.shape.begin(), tensor.shape.end());
  const size_t elements = std::accumulate(tensor.shape.begin(), tensor.shape.end(), size_t{1}, std::multiplies<>());
  if (lies_row_by_row(tensor) && storage.type != TorchType::kDouble) {
    view.mapped = true;
    if (elements > 0)
      view.bytes = found->second.subspan(tensor.offset * storage.element_bytes, elements * storage.element_bytes);
    return view;
  }
  ASSIGN_OR_RETURN(view.bytes, copies.copy(tensor, storage, found->second, elements));
  return view;
}

}  // namespace

Status add_torch_tensors(const MappedFile& file, std::map<std::string, TensorView>& tensors,
                         std::vector<std::vector<std::byte>>& owned) {
  static_assert(std::endian::native == std::endian::little);
  ASSIGN_OR_RETURN(const StateDict state,
                   looks_like_zip(file.bytes()) ? read_zip_form(file.bytes()) : read_old_form(file.bytes()));
  const PickledValue& root = state.pickled.root;
  if (root.kind != Kind::kDict) return wrong("it holds something else than a dictionary of tensors");
  const auto items = state.pickled.items(root);
  Copies copies(owned, 2 * file.bytes().size());
  for (size_t i = 0; i + 1 < items.size(); i += 2) {
    if (items[i].kind != Kind::kText) return wrong("a key of its dictionary is no text");
    const std::string name(items[i].text);
    if (items[i + 1].kind != Kind::kTensor) {
      return wrong(
          str_cat("its entry ", name,
                  " is no tensor: a checkpoint of training? save model.state_dict() or use save_pretrained()"));
    }
    const PickledTensor& tensor = state.pickled.tensors[static_cast<size_t>(items[i + 1].number)];
    if (state.pickled.storages[tensor.storage].type == TorchType::kOther) continue;
    auto view = view_of(state, tensor, copies);
    if (!view.ok()) return with_context(view.status(), str_cat("tensor ", name));
    view->name = name;
    if (!tensors.emplace(name, *std::move(view)).second) return wrong(str_cat("tensor ", name, " appears twice"));
  }
  return ok_status();
}

}  // namespace rerank::model
