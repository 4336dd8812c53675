#include "engine/cpu/pick_tier.h"

#include "base/strings.h"
#include "engine/supported.h"

namespace rerank::engine::cpu {
namespace {

EngineFeatures features(bool tiles) {
  EngineFeatures features = kAllFeatures;
  if (tiles)
    features.last_row = features.decoder = features.softcap = features.sum_norms = features.outputs =
        features.marked_rows = false;
  return features;
}

// Why a tier is out of the question here; empty: it is not.
std::string refusal_of(const KernelTable& table, const model::Architecture& architecture) {
  if (const std::string_view machine = unsupported_reason(table); !machine.empty()) return std::string(machine);
  const std::string parts = uncomputed_parts(architecture, features(table.tiles != nullptr));
  return parts.empty() ? "" : str_cat("does not compute ", parts);
}

// The first tier, best first, that fits what is wanted, that this machine runs, and that computes the model.
Result<const KernelTable*> pick(const model::Architecture& architecture, const BackendOptions& options) {
  const Precision precision = options.precision;
  if (precision == Precision::kFp16 || precision == Precision::kFp8) {
    return absl::InvalidArgumentError(
        str_cat("--precision ", word_of(precision),
                ": the cpu engine has auto, fp32, bf16, int8, int4; fp8 is the cuda engine's"));
  }
  std::string known, refusals;
  const KernelTable* slower = nullptr;
  for (const KernelTable* table : compiled_kernels()) {
    known += str_cat(", ", word_of(table->tier));
    if (options.kernel != KernelTier::kAuto && options.kernel != table->tier) continue;
    if (precision != Precision::kAuto && precision != table->precision) continue;
    const std::string refusal = refusal_of(*table, architecture);
    if (!refusal.empty()) {
      refusals += str_cat(refusals.empty() ? "" : "; ", word_of(table->tier), ": ", refusal);
      continue;
    }
    if (options.kernel != KernelTier::kAuto || is_automatic(*table)) return table;  // a tier named is taken as it is
    if (precision == Precision::kAuto || traits_of(table->tier).use == TierUse::kTests) continue;
    if (faster_than_fp32(*table)) return table;
    // A precision asked for may be slower than fp32, where there is nothing better.
    if (slower == nullptr) slower = table;
  }
  if (slower != nullptr) return slower;
  if (!refusals.empty()) return absl::UnimplementedError(str_cat("cpu engine: ", refusals));
  return absl::InvalidArgumentError(str_cat("--kernel ", word_of(options.kernel), " with --precision ",
                                            word_of(precision), ": no such tier; there are auto", known));
}

// A model that was quantized is computed so where nothing else is asked for.
BackendOptions with_precision_of(const model::Model& model, BackendOptions options) {
  if (options.precision != Precision::kAuto) return options;
  if (model.weights.quantized) options.precision = Precision::kInt8;
  if (model.weights.int4) options.precision = Precision::kInt4;
  return options;
}

}  // namespace

Result<const KernelTable*> pick_tier(const model::Model& model, const BackendOptions& options) {
  if (!model.has_weights()) return model.no_weights;
  // The vector tiers compute most: what they do not is said once, not tier by tier.
  const std::string parts = uncomputed_parts(model.architecture(), features(false));
  if (!parts.empty()) return absl::UnimplementedError(str_cat("cpu engine: does not compute ", parts));
  return pick(model.architecture(), with_precision_of(model, options));
}

std::string refused_tiers(const model::Architecture& architecture) {
  std::string text;
  for (const KernelTable* table : compiled_kernels()) {
    const std::string refusal = refusal_of(*table, architecture);
    const std::string said = str_cat("; not ", word_of(table->tier), ": ", refusal);
    // A tier has a table for each of its precisions.
    if (!refusal.empty() && text.find(said) == std::string::npos) text += said;
  }
  return text;
}

}  // namespace rerank::engine::cpu
