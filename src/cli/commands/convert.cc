// rerankd convert: a model folder -> an ONNX folder, or weights in another precision, verified against the reference;
// or programs for XLA.
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_split.h"
#include "base/status_macros.h"
#include "base/strings.h"
#include "cli/add_setting.h"
#include "cli/command.h"
#include "cli/commands/calibration_pairs.h"
#include "cli/commands/programs.h"
#include "convert/quantize.h"
#include "convert/verify.h"
#include "convert/writers.h"
#include "engine/registry.h"
#include "rank/locate.h"
#include "text/files/gguf_tokenizer.h"
#include "text/files/tokenizer_files.h"

namespace rerank::cli {
namespace {

struct Convert : Command {
  static constexpr OptionInfo kPrecision{
      "precision", "P", "Options",
      "onnx: fp32, fp16 or int8 (dynamic: activations are quantized as they come); "
      "safetensors: fp32, fp16, bf16, int8 (with OUT/int8-report.json: what each "
      "matrix loses by it) or int4 (for models that do not fit otherwise); stablehlo and "
      "pjrt: fp32 or bf16."};

  explicit Convert(CLI::App& program)
      : Command(program, "convert",
                "Write a model as an ONNX graph, its weights in another precision, or programs for XLA.") {
    app.add_option("model_folder", folder, "Model folder or hub id.")->type_name("DIR|ID")->required();
    app.add_option("out", out, "Folder to write. onnx, safetensors: it serves as it is; pjrt: a --pjrt-cache.")
        ->type_name("DIR")
        ->required();
    app.add_option("--to", to,
                   "onnx, safetensors, stablehlo (programs as text, with their weights) or pjrt (programs compiled "
                   "ahead for --engine pjrt).")
        ->type_name("FORMAT")
        ->required();
    add_setting(app, kPrecision, write.precision);
    app.add_option("--keep-layers", write.keep_layers, "The first N layers only. 0: all.")->type_name("N");
    app.add_option("--exclude", exclude, "int8: matrices whose name has one of these parts stay as they are.")
        ->type_name("PART[,PART...]");
    app.add_option("--texts", texts,
                   "int8 safetensors: pairs to calibrate on, {\"query\", \"document\"} lines; some dozens are enough. "
                   "Default: a few of our own.")
        ->type_name("FILE");
    app.add_option("--sensitivity", sensitivity,
                   "int8 safetensors: a matrix that loses more than this many times the median stays as it is.")
        ->type_name("F")
        ->capture_default_str();
    app.add_option(
           "--activations", activations,
           "int8 graphs: a scale for each token, or one for a whole batch, which is some tenths faster, twice as far "
           "from fp32, and lets a score depend on what else is in its batch.")
        ->type_name("token|batch")
        ->capture_default_str();
    app.add_flag("--reduce-range", write.reduce_range,
                 "int8: weights of 7 bits. For CPUs without VNNI, whose sums of 8-bit products saturate.");
    app.add_flag("--no-verify", no_verify, "Do not compare with the reference engine.");
    add_program_options();
    settings.add(options, {"Model"});
    app.add_option("--onnxruntime-library", options.model.engine.onnxruntime_library,
                   "libonnxruntime.so, to verify with.")
        ->type_name("FILE");
  }

  void add_program_options() {
    EngineOptions& engine = options.model.engine;
    const auto add = [&](const OptionInfo& info, std::string& value) {
      app.add_option(str_cat("--", info.name), value, std::string(info.help))->type_name(std::string(info.value));
    };
    add(EngineOptions::kPjrtShapes, engine.pjrt_shapes);
    add(EngineOptions::kPjrtPlugin, engine.pjrt_plugin);
    add(EngineOptions::kPjrtOptions, engine.pjrt_options);
    app.add_option("--pjrt-topology", programs.topology,
                   "pjrt: compile for a device that need not be there, as the plugin names it: of TPUs v4:2x2x1, "
                   "v5e:1x1, v6e:1x1, tpu7x:2x2x1. Default: the device of this machine.")
        ->type_name("NAME");
    app.add_flag("--pjrt-portable", programs.portable, "pjrt: for servers that use several devices (--devices).");
  }

  int run() {
    const Status status = convert();
    return status.ok() ? 0 : report(status);
  }

  Status convert() {
    RETURN_IF_ERROR(complete());
    if (to != "onnx" && to != "safetensors" && to != "stablehlo" && to != "pjrt")
      return absl::InvalidArgumentError(str_cat("--to ", to, ": must be onnx, safetensors, stablehlo or pjrt"));
    if (activations != "token" && activations != "batch")
      return absl::InvalidArgumentError(str_cat("--activations ", activations, ": must be token or batch"));
    write.scale_per_token = activations == "token";
    options.model.source.model = folder;
    ASSIGN_OR_RETURN(auto located, rank::locate_model(options));
    ASSIGN_OR_RETURN(auto loaded, model::load_model(located.folder));
    model = loaded;
    programs.out = out;
    if (to == "stablehlo") return write_program_texts(*model, options, programs, write);
    if (to == "pjrt") return compile_programs(*model, options, programs, write.precision);
    write.exclude = absl::StrSplit(exclude, ',', absl::SkipEmpty());
    write.quantization_in_config = to == "safetensors";
    if (to == "safetensors" && write.precision == Precision::kInt8) {
      if (write.keep_layers != 0)
        return absl::InvalidArgumentError("--keep-layers: first keep the layers, then quantize what was written");
      RETURN_IF_ERROR(calibrate());
    }
    {
      Progress bar("writing", "bytes");
      write.progress = [&](uint64_t done, uint64_t total) { bar.update(done, total); };
      Status status =
          to == "onnx" ? convert::write_onnx(*model, out, write) : convert::write_safetensors(*model, out, write);
      if (!status.ok()) return status;
    }
    RETURN_IF_ERROR(convert::copy_companions(*model, out, write));
    RETURN_IF_ERROR(write_tokenizer());
    if (!report_text.empty()) std::ofstream(out + "/int8-report.json") << report_text;
    std::printf("written to %s: %s, %s\n", out.c_str(), to.c_str(), std::string(word_of(write.precision)).c_str());
    return no_verify ? ok_status() : verify();
  }

  // Of a GGUF file that has its tokenizer inside.
  Status write_tokenizer() const {
    const std::string gguf = text::gguf_of(model->folder), path = out + "/tokenizer.json";
    if (gguf.empty() || std::filesystem::exists(path) || !text::vocabulary_file(out).empty()) return ok_status();
    ASSIGN_OR_RETURN(const std::string json, text::gguf_tokenizer_json(gguf));
    std::ofstream file(path);
    file << json;
    file.close();
    return file ? ok_status() : absl::UnavailableError(str_cat(path, ": cannot write"));
  }

  // Finds the matrices that lose most, and excludes them.
  Status calibrate() {
    CalibrationPairs pairs;
    RETURN_IF_ERROR(pairs.read(texts, *model));
    Progress bar("calibrating", "pairs");
    convert::CalibrationOptions settings_of_it;
    settings_of_it.sensitivity = sensitivity;
    settings_of_it.excluded = [&](const std::string& name) { return convert::is_excluded(write, name); };
    settings_of_it.progress = [&](uint64_t done, uint64_t total) { bar.update(done, total); };
    ASSIGN_OR_RETURN(auto report, convert::calibrate_int8(model, pairs.batch(), settings_of_it));
    std::printf("calibrated on %zu pairs of %zu tokens (logits span %.3g)\n", report.pairs, report.tokens,
                report.spread);
    std::printf("  %-60s %s\n", "matrix", "error of its outputs, relative");
    size_t kept = 0;
    for (const convert::MatrixError& matrix : report.matrices) {
      std::printf("  %-60s %.4f%s\n", matrix.name.c_str(), matrix.error, matrix.kept ? "  kept" : "");
      if (!matrix.kept) continue;
      ++kept;
      write.exclude.push_back(matrix.name);
      write.ignored_modules.push_back(matrix.name.substr(0, matrix.name.rfind('.')));
    }
    std::printf("|logit - exact|: all int8 %.3g at most, %.3g in the mean; with %zu of %zu kept %.3g, %.3g\n",
                report.all.largest, report.all.mean, kept, report.matrices.size(), report.chosen.largest,
                report.chosen.mean);
    const auto ignore = [&](const model::Linear& linear) {
      write.ignored_modules.push_back(linear.weight.name.substr(0, linear.weight.name.rfind('.')));
    };
    if (model->weights.head_dense) ignore(*model->weights.head_dense);
    ignore(model->weights.head_output);
    report_text = convert::report_json(report);
    return ok_status();
  }

  Status verify() {
    ASSIGN_OR_RETURN(auto converted, model::load_model(out, to == "onnx"));
    engine::BackendOptions engine = engine::backend_options(options);
    engine.onnx_file = to == "onnx" ? convert::kOnnxFile : "";
    // int8 weights are meant for an engine that multiplies int8.
    const EngineKind kind = to == "onnx" ? EngineKind::kOnnx
                            : write.precision == Precision::kInt8 || write.precision == Precision::kInt4
                                ? EngineKind::kCpu
                                : EngineKind::kReference;
    auto backend = engine::open_backend(converted, kind, engine);
    if (!backend.ok() && to == "onnx" &&
        (absl::IsNotFound(backend.status()) || absl::IsUnimplemented(backend.status()))) {
      std::printf("not verified: %s\n", std::string(message_of(backend.status())).c_str());
      return ok_status();
    }
    if (!backend.ok()) return with_context(backend.status(), "the written model");
    Progress bar("verifying", "pairs");
    ASSIGN_OR_RETURN(const auto found,
                     convert::verify_converted(model, write.keep_layers, **backend,
                                               [&](uint64_t done, uint64_t total) { bar.update(done, total); }));
    std::printf("verified on %zu pairs of %zu tokens: largest |logit - reference| %.3g, mean %.3g (logits span %.3g)\n",
                found.pairs, found.tokens, found.largest, found.mean, found.spread);
    if (found.largest <= convert::explained_difference(write.precision, found.spread)) return ok_status();
    return absl::InternalError(str_cat(out, ": differs from the reference by ", found.largest, ", which ",
                                       word_of(write.precision), " does not explain: do not use it"));
  }

  std::string folder, out, to, activations = "token", exclude, texts, report_text;
  double sensitivity = convert::CalibrationOptions().sensitivity;
  convert::ConvertOptions write;
  ProgramsToWrite programs;
  bool no_verify = false;
  std::shared_ptr<const model::Model> model;
};

}  // namespace

Run add_convert_command(CLI::App& program) {
  auto command = std::make_shared<Convert>(program);
  return [command] { return command->app.parsed() ? command->run() : -1; };
}

}  // namespace rerank::cli
