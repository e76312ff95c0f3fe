#include "lm/checkpoint_folder.hpp"
#include "lm/tabular_model.hpp"
#include "lm/transformer_model.hpp"
#include "shoal/error.hpp"
#include "shoal/language_model.hpp"

namespace shoal {

std::shared_ptr<const LanguageModel> load_model(const std::string& source, DType dtype, Device device) {
  constexpr std::string_view tabular = "tabular:";
  if (source.starts_with(tabular)) {
    if (device.kind == Device::Kind::cuda)
      throw UsageError("no GPU can compute '" + source + "' (a tabular model is a table to look up) use --device cpu");
    return std::make_shared<lm::TabularModel>(source, source.substr(tabular.size()));
  }
  return std::make_shared<lm::TransformerModel>(source, lm::find_checkpoint(source), dtype, device);
}

}  // namespace shoal
