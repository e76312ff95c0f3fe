#include "lm/checkpoint_folder.hpp"
#include "lm/context_memory.hpp"
#include "lm/model_summary.hpp"
#include "lm/tabular_model.hpp"
#include "lm/transformer_model.hpp"
#include "shoal/error.hpp"
#include "shoal/language_model.hpp"

namespace shoal {
namespace {

constexpr std::string_view tabular = "tabular:";

}  // namespace

std::shared_ptr<const LanguageModel> load_model(const std::string& source, const LoadOptions& options) {
  if (source.starts_with(tabular)) {
    if (options.device.kind == Device::Kind::cuda)
      throw UsageError("no GPU can compute '" + source + "' (a tabular model is a table to look up) use --device cpu");
    return std::make_shared<lm::TabularModel>(source, source.substr(tabular.size()));
  }
  return std::make_shared<lm::TransformerModel>(source, lm::find_checkpoint(source), options);
}

ModelSummary summarize_model(const std::string& source, DType dtype, KvDType kv_dtype) {
  if (source.starts_with(tabular)) return load_model(source)->summary();
  const auto folder = lm::find_checkpoint(source);
  return lm::summarize(source, folder, lm::load_config(folder), lm::Safetensors(folder), dtype, kv_dtype);
}

std::uint64_t contexts_that_fit(const ModelSummary& model, int new_tokens, std::uint64_t bytes) {
  return lm::context_memory(model).most_contexts(0, new_tokens, bytes);
}

}  // namespace shoal
